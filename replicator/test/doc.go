// Package test runs whole replicators with servers and faults, and compares what Redis holds with the primary.
package test
