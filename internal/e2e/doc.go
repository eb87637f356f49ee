// Package e2e tests the services together: real servers, real processes, real failures.
package e2e
