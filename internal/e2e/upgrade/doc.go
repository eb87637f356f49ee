// Package upgrade runs the programs of the last release and those of the working tree side by side on the same servers.
package upgrade
