package domain

import "iter"

// HolderKind says what somebody is who holds tokens in an organization.
type HolderKind uint8

const (
	// Gone holders were here once. Nothing of theirs works.
	Gone HolderKind = iota
	// Person is a member.
	Person
	// Program is a service account.
	Program
)

// holder is whoever has or had tokens of their own here. Holders lie in one slice
// without pointers, and tokens know their holder's place in it.
type holder struct {
	Account   AccountID
	Kind      HolderKind
	Suspended bool
	role      rolePlace // of a person
	terms     uint32    // of a program: the place of its grant
	unrevoked uint32    // how many of their tokens are not, though they may have expired
	youngest  uint32    // the place of their last token, plus one: the others follow by Token.elder
	Changed   Position
	Number    Position // of a program: where it was made
	name      nameKey  // of a program
	limit     Limit    // for all their tokens together
}

func (h *holder) active() bool { return h.Kind != Gone && !h.Suspended }

// holder is who has that account here; one that never was is gone.
func (o *Organization) holder(account AccountID) holder {
	if at, known := o.seats[account]; known {
		return o.holders[at]
	}
	return holder{Account: account}
}

// seat changes the holder with an account, making their place if there is none.
func (o *Organization) seat(account AccountID, do func(*holder)) {
	at, known := o.seats[account]
	if !known {
		at = uint32(len(o.holders))
		o.seats[account] = at
		o.holders = append(o.holders, holder{Account: account})
	}
	do(&o.holders[at])
	o.touched = append(o.touched, at)
}

// tokensOf are the places of all tokens of a holder that were ever issued, the
// youngest first.
func (o *Organization) tokensOf(account AccountID) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for next := o.holder(account).youngest; next != 0; next = o.Tokens.kept[next-1].elder {
			if !yield(next - 1) {
				return
			}
		}
	}
}

// Seat is the place of a holder, the same as long as the organization lives.
func (o *Organization) Seat(account AccountID) (at uint32, known bool) {
	at, known = o.seats[account]
	return at, known
}
