package domain

// warnings are how many days before its end the holder of a token is warned.
var warnings = [...]uint8{1, 3, 7, 14, 30}

// due is the warning that is to be given about a token now; 0: none. Who was not
// warned in time is warned once, of what is left. A token whose life is not longer
// than that is not announced to end on the day it is made.
func (t *Token) due(now Instant) uint8 {
	if t.Expires == 0 || !t.Live(now) || t.Waiting {
		return 0
	}
	for _, days := range warnings {
		ahead := (Seconds(days) * day).Instant()
		if t.Expires-now <= ahead {
			if t.warned != 0 && t.warned <= days || t.life() <= ahead {
				return 0
			}
			return days
		}
	}
	return 0
}

// DaysLeft is how many whole days a token still has, where somebody should know:
// not more than the first warning. False: longer, or for ever.
func (t *Token) DaysLeft(now Instant) (days int, soon bool) {
	left := t.Expires - now
	if t.Expires == 0 || left > (Seconds(warnings[len(warnings)-1])*day).Instant() {
		return 0, false
	}
	return int(max(left, 0) / day.Instant()), true
}

// maxWarnings is how many warnings one commit holds.
const maxWarnings = 1000

// WarnOfExpiry is what the service does some days before tokens end.
type WarnOfExpiry struct{}

// Decide warns of each token once for each of the days.
func (WarnOfExpiry) Decide(o *Organization, m Meta) (events []Event, err error) {
	if m.Actor.Kind != ActorSystem {
		return nil, Refuse(ErrDenied, "only the service itself does this", "")
	}
	if o.Deleted != 0 {
		return nil, nil
	}
	for t := range o.Tokens.All() {
		if days := t.due(m.Time); days != 0 && len(events) < maxWarnings {
			events = append(events, TokenExpiring{t.ID, int(days), t.Expires})
		}
	}
	return events, nil
}

// TokenExpiring says that a token ends in some days.
type TokenExpiring struct {
	Token   TokenID `json:"token"`
	Days    int     `json:"days"`
	Expires Instant `json:"expires"`
}

// Kind is stored.
func (TokenExpiring) Kind() string { return "token.expiring" }

// Evolve remembers the warning. Nothing about the token has changed.
func (e TokenExpiring) Evolve(o *Organization, _ Meta) {
	o.Tokens.change(e.Token, func(t *Token) { t.warned = uint8(e.Days) })
}
