// Package bench measures the services on this machine beside a baseline of the same run, because machines are
// noisy and only ratios last. `make bench` runs it; every figure comes from real servers with fsync on.
package bench
