package enroll

func profileProblems(a *Application) Problems { return nil }
