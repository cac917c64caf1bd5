//go:build linux && cgo

package main

import (
	"testing"

	"chipid/reader/pcsc/pcsctest"
)

func TestDemoThroughPCSC(t *testing.T) {
	pcsctest.Run(t, func(*pcsctest.Service) { runDemo(t, "--pcsc").check(t) })
}
