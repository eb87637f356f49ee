// Package abuse tests that an abuse by one client does not affect the others (W7). Abuses run one after the other,
// from their own addresses, beside a steady load through the front door. With ABUSE_TIME=10s the test prints the
// table of `make abuse`.
package abuse
