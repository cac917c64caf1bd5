package national

import "testing"

func BenchmarkBuild(b *testing.B) {
	o := options(b, vietnam{}, mai)
	for b.Loop() {
		if _, _, err := Build(o); err != nil {
			b.Fatal(err)
		}
	}
}
