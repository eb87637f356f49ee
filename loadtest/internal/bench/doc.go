// Package bench measures the services on this machine beside a baseline of the same run: machines
// are noisy, ratios last. `make bench` runs it; every figure comes from real servers with fsync on.
package bench
