// Package locked tests that servers with TLS let nobody in with a wrong certificate, password or user.
package locked
