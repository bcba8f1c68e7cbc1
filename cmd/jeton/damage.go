package main

import (
	"errors"
	"fmt"
	"strings"

	"jeton/eventstore"
)

// explain adds to the error of a damaged log how to recover from it.
func (p *Program) explain(err error, c Config) error {
	if text := c.keyRecovery(err); text != "" {
		return fmt.Errorf("%w\n\n%s", err, text)
	}
	var damage *eventstore.Damage
	if !errors.As(err, &damage) {
		return err
	}
	return fmt.Errorf("%w\n\n%s", err, recovery(c))
}

// recovery is what to do about a damaged log.
func recovery(c Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Nothing is served from a damaged log: a token that was revoked could come back to life.
The log is %s.
The views, with the second copy of every commit, are %s.

How to recover:

 1. Stop every server of this platform and copy both aside before anything else.
 2. Ask what is wrong and what can be done; nothing is changed before --yes is said:
        %s
    It makes the log anew from the second copy, with --from FILE also from a backup of jeton backup,
    keeps the damaged one aside, and proves that what it made is what was there.
 3. Without that: %s
 4. If that log is older than the views remember, or the views came from somewhere else, accept
    the log as it is. Commits behind its end are lost, revocations among them: look through the
    tokens afterwards. A log with a hole is never accepted.
        %s
`, c.logPlace(), c.viewsPlace(), c.offlineCommand("repair"), c.restore(), c.offlineCommand("rebuild")+" --accept-log")
	return b.String()
}

func (c Config) logPlace() string {
	if c.NATS == "" {
		return "in the folder " + directory(c.Data).path(logFolder)
	}
	return "the stream JETON_0 on " + redact(c.NATS)
}

func (c Config) viewsPlace() string {
	if c.Database == "" {
		return "in the file " + directory(c.Data).path(viewsFile)
	}
	return "in " + redact(c.Database)
}

func (c Config) restore() string {
	if c.NATS == "" {
		return fmt.Sprintf(`restore the folder %s from the newest backup that is whole, without the
    files index.db in it (they are made again), and start the service: it checks the whole log.
    A backup that is older than the views is refused; see 4.`, directory(c.Data).path(logFolder))
	}
	return `restore the stream from a replica that is whole or from the newest backup
    (nats stream restore), and start the service: it checks the whole log.
    A backup that is older than the views is refused; see 4.`
}

// offlineCommand is a command on this platform while no server runs.
func (c Config) offlineCommand(name string) string {
	command := "jeton " + name
	if c.usesData() {
		command += " --data " + c.Data
	}
	for _, s := range c.settings() {
		if (s.name == "nats" || s.name == "database") && s.value.String() != "" {
			command = s.variable() + "=… " + command
		}
	}
	return command
}
