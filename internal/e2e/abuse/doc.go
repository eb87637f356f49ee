// Package abuse tests that one client can't harm the others (W7). Beside a steady load through the front door,
// abuses run one after the other from other addresses. ABUSE_TIME=10s makes the table of `make abuse`.
package abuse
