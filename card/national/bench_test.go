package national

import (
	"testing"

	"chipid/card/artwork/portrait"
)

// A card with a camera's photo, which has to be made to fit.
func BenchmarkBuild(b *testing.B) {
	o := options(b, vietnam{}, mai)
	o.Photo = portrait.JPEG(portrait.Look{Seed: 7, Female: true, Age: 36})
	for b.Loop() {
		if _, _, err := Build(o); err != nil {
			b.Fatal(err)
		}
	}
}
