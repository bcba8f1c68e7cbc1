package domain

import "testing"

var (
	firstKey = SigningKeySet{1, "log+1+key", ""}
	sealing  = SealEpoch{Number: 1, Position: 2, Root: hashOf("root"), Trees: 2, Note: "note", Every: minute}
	sealed   = EpochSealed{1, 2, hashOf("root"), 2, "note"}
)

// nextEpoch is the command for the epoch behind the fixture's first.
func nextEpoch(up Position) SealEpoch {
	c := sealing
	c.Number, c.Position = 2, up
	return c
}

func TestSealEpoch(t *testing.T) {
	then := func(c SealEpoch) []Event { return []Event{EpochSealed{c.Number, c.Position, c.Root, c.Trees, c.Note}} }
	soon, later := today.Add(44e9), today.Add(45e9)
	run(t, platformAfter, directoryScenarios{
		"the first": {given: []Event{firstKey}, when: sealing, by: system, then: []Event{sealed}},
		// The key stands at 2, the epoch up to there at 3, and what comes behind them from 4.
		"the next, when something has happened": {given: []Event{firstKey, sealed, OperatorNamed{mia, acme}}, when: nextEpoch(4), by: system, at: later, then: then(nextEpoch(4))},
		"what came before its commit counts":    {given: []Event{firstKey, OperatorNamed{mia, acme}, sealed}, when: nextEpoch(3), by: system, at: later, then: then(nextEpoch(3))},
		"nothing happened but the epoch itself": {given: []Event{firstKey, sealed}, when: nextEpoch(3), by: system, at: later},
		"the position does not rise":            {given: []Event{firstKey, OperatorNamed{mia, acme}, sealed}, when: nextEpoch(2), by: system, at: later},
		"too soon":                              {given: []Event{firstKey, sealed, OperatorNamed{mia, acme}}, when: nextEpoch(4), by: system, at: soon},
		"another node was first":                {given: []Event{firstKey, sealed}, when: sealing, by: system, at: later},
		"a number that is not next":             {given: []Event{firstKey}, when: nextEpoch(2), by: system},
		"without a key":                         {when: sealing, by: system, err: ErrState, says: "no signing key"},
		"by an operator":                        {given: []Event{firstKey}, when: sealing, err: ErrDenied, says: "only the service itself"},
	})
}

func TestSigningKeys(t *testing.T) {
	rotation := RotateSigningKey{2, "log+2+key", "endorsed"}
	run(t, platformAfter, directoryScenarios{
		"the first":                         {when: SetSigningKey{"log+1+key"}, by: system, then: []Event{firstKey}},
		"there is one":                      {given: []Event{firstKey}, when: SetSigningKey{"log+2+key"}, by: system},
		"the first, by an operator":         {when: SetSigningKey{"log+1+key"}, err: ErrDenied, says: "only the service itself"},
		"rotated":                           {given: []Event{firstKey}, when: rotation, then: []Event{SigningKeySet{2, "log+2+key", "endorsed"}}},
		"rotated by two at once":            {given: []Event{firstKey, SigningKeySet(rotation)}, when: rotation, err: ErrStale, says: "somebody else"},
		"rotated before there is one":       {when: rotation, err: ErrState, says: "no signing key yet"},
		"rotated by a member":               {given: []Event{firstKey}, when: rotation, by: byMia, err: ErrDenied, says: "only an operator"},
		"rotated by the service":            {given: []Event{firstKey}, when: rotation, by: system, err: ErrDenied, says: "only an operator"},
		"rotated with a replaced secret":    {given: []Event{firstKey}, when: rotation, also: func(m *Meta) { m.Replaced = true }, err: ErrDenied, says: "replaced by a new one"},
		"rotated from another organization": {given: []Event{firstKey}, when: rotation, home: OrganizationID{named("globex")}, err: ErrDenied, says: "only an operator"},
	})
}
