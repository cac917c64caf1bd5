// Command chipid issues, personalises, reads and verifies national chip ID
// cards, and carries people's records to the central registry.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// Help lists commands in the order of the job, not of the alphabet.
	cobra.EnableCommandSorting = false
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := newApp()
	a.cacheDir, _ = os.UserCacheDir() // without one nothing is remembered
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// program is what evidence says that it was collected by: this program with the
// version that it was built from, as far as the build knows it.
func program() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "chipid " + info.Main.Version
	}
	return "chipid"
}
