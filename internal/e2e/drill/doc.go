// Package drill runs the most telling drills of `make drill` against a whole stack of its own, as `make up` starts it.
package drill
