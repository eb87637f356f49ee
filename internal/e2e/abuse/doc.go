// Package abuse tests that what one client does stays with it (W7): beside a steady load through the front door,
// abuses run one after the other from other addresses. ABUSE_TIME=10s makes the table of `make abuse`.
package abuse
