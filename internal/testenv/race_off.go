//go:build !race

package testenv

// raceDetector says that the test was built with the race detector, so that programs are as well.
const raceDetector = false
