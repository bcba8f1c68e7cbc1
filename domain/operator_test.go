package domain

import "testing"

func TestNameOperator(t *testing.T) {
	run(t, platformAfter, directoryScenarios{
		"somebody new": {
			when: NameOperator{"zoe@example.org", zoe},
			then: []Event{AccountRegistered{zoe, "zoe@example.org"}, OperatorNamed{zoe, acme}},
		},
		"somebody known, in another case": {
			given: []Event{AccountRegistered{mia, "mia@example.org"}},
			when:  NameOperator{"MIA@example.org", zoe},
			then:  []Event{OperatorNamed{mia, acme}},
		},
		"an operator": {
			when: NameOperator{"ann@example.org", zoe},
		},
		"somebody who was one": {
			given: []Event{AccountRegistered{mia, "mia@example.org"}, OperatorNamed{mia, acme}, OperatorDismissed{mia}},
			when:  NameOperator{"mia@example.org", zoe},
			then:  []Event{OperatorNamed{mia, acme}},
		},
		"by an owner who is none": {
			given: []Event{MemberRoleChanged{mia, Owner}},
			when:  NameOperator{"mia@example.org", mia}, by: byMia,
			err: ErrDenied, says: "only an operator",
		},
		"by an operator with a token that another organization gave them": {
			when: NameOperator{"zoe@example.org", zoe}, home: OrganizationID{named("globex")},
			err: ErrDenied, says: "only an operator",
		},
		"by a program": {
			when: NameOperator{"zoe@example.org", zoe}, by: byRobot,
			err: ErrDenied, says: "only an operator",
		},
		"with a secret that was replaced": {
			when: NameOperator{"zoe@example.org", zoe}, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},
		"by nobody": {
			when: NameOperator{"zoe@example.org", zoe}, by: Actor{Kind: ActorMember},
			err: ErrDenied, says: "only an operator",
		},
		"no e-mail": {
			when: NameOperator{"zoe@", zoe},
			err:  ErrInvalid, says: "email: ",
		},
	})
}

func TestDismissOperator(t *testing.T) {
	run(t, platformAfter, directoryScenarios{
		"another": {
			given: []Event{OperatorNamed{mia, acme}},
			when:  DismissOperator{mia},
			then:  []Event{OperatorDismissed{mia}},
		},
		"oneself": {
			given: []Event{OperatorNamed{mia, acme}},
			when:  DismissOperator{ann},
			then:  []Event{OperatorDismissed{ann}},
		},
		"the last": {
			when: DismissOperator{ann},
			err:  ErrState, says: "last operator",
		},
		"the last, after another was dismissed": {
			given: []Event{OperatorNamed{mia, acme}, OperatorDismissed{mia}},
			when:  DismissOperator{ann},
			err:   ErrState, says: "last operator",
		},
		"who is none": {
			when: DismissOperator{mia},
			err:  ErrNotFound, says: "no such operator",
		},
		"who is one no longer": {
			given: []Event{OperatorNamed{mia, acme}, OperatorDismissed{mia}},
			when:  DismissOperator{mia},
			err:   ErrNotFound, says: "no such operator",
		},
		"by who is none": {
			given: []Event{OperatorNamed{mia, acme}},
			when:  DismissOperator{mia}, by: byBob,
			err: ErrDenied, says: "only an operator",
		},
		"by who was dismissed": {
			given: []Event{OperatorNamed{mia, acme}, OperatorDismissed{ann}},
			when:  DismissOperator{mia},
			err:   ErrDenied, says: "only an operator",
		},
		"with a secret that was replaced": {
			given: []Event{OperatorNamed{mia, acme}},
			when:  DismissOperator{mia}, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},
		"by a program": {
			given: []Event{OperatorNamed{mia, acme}},
			when:  DismissOperator{mia}, by: Actor{Kind: ActorToken, Account: ann, Token: robot},
			err: ErrDenied, says: "only an operator",
		},
	})
}
