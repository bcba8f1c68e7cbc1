// Command bench measures the promises of speed, as ratios in one run: what we
// do against the barest program that does the same, in turn, on the same machine
// within the same minutes. Absolute figures depend on the machine; ratios hold.
//
//	go run ./cmd/bench                    # everything, with a million tokens
//	go run ./cmd/bench -tokens 100000     # quicker
//
// It founds a platform in a temporary directory with bin/jeton (make bench
// builds it), fills it through the domain's own commands, and prints a table in
// Markdown, which is the one in the README. Phases that measure memory or time
// from the start run as processes of their own (-phase).
package main
