// Package hubtest gives a test an address for a hub that has to be known before
// the hub serves, as when it is started, killed and started again.
//
// A port that was free a moment ago is not enough: the tests of other packages,
// which run at the same time, ask the system for ports too, and it may give them
// this one while no hub has it.
package hubtest
