package domain

import (
	"strings"
	"testing"
)

func TestEraseAccount(t *testing.T) {
	registered := AccountRegistered{mia, "Mia@example.org"}
	erase := EraseAccount{Account: mia, Reason: "asked for it"}
	deleted, erased := AccountDeleted{mia, "asked for it"}, AccountErased{mia, "asked for it"}
	run(t, platformAfter, directoryScenarios{
		"by an operator":           {given: []Event{registered}, when: erase, then: []Event{deleted, erased}},
		"who was deleted before":   {given: []Event{registered, deleted}, when: erase, then: []Event{erased}},
		"who was erased before":    {given: []Event{registered, deleted, erased}, when: erase},
		"the last operator":        {when: EraseAccount{Account: ann}, err: ErrState, says: "the last operator's account can't be deleted"},
		"the last owner somewhere": {given: []Event{registered}, when: EraseAccount{Account: mia, Alone: "beta"}, err: ErrState, says: "the organization beta would have no owner any more"},
		"by the person":            {given: []Event{registered}, when: erase, by: byMia, err: ErrDenied, says: "only an operator"},
		"who was deleted, by somebody else": {
			given: []Event{registered, deleted}, when: erase, by: byBob, err: ErrDenied, says: "only an operator",
		},
		"nobody": {when: EraseAccount{}, err: ErrNotFound, says: "no such account"},
		"too long a reason": {
			given: []Event{registered, deleted}, when: EraseAccount{Account: mia, Reason: strings.Repeat("a", MaxReason+1)},
			err: ErrInvalid, says: "reason: has 1001 characters",
		},
	})
}

// Who is gone can still be found by their number, to be erased.
func TestDepartedNumbers(t *testing.T) {
	d := platformAfter(AccountRegistered{mia, "Mia@example.org"})
	number := d.Accounts[mia].Number
	for _, e := range []Event{AccountDeleted{Account: mia}, AccountErased{Account: mia}, AccountDeleted{Account: mia}} {
		d.Evolve(Commit{Meta: Meta{Position: d.Version + 1}, Events: []Event{e}})
		if len(d.DepartedNumbers) != 1 || d.DepartedNumbers[number] != mia {
			t.Errorf("after %s the departed are %v, want %d", e.Kind(), d.DepartedNumbers, number)
		}
	}
	if !d.Erased(mia) || d.Erased(ann) {
		t.Errorf("the erased are %v", d.ErasedAccounts)
	}
}
