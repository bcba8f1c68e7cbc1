package domain

// Epoch is a moment at which the service has signed what all histories are. The
// zero Epoch is none.
type Epoch struct {
	Number   int64
	Position Position // up to where the log is signed
	At       Position // where the commit stands that says so
	Time     Instant
}

// Behind is how many commits up to a position the epoch does not cover, without its
// own: an epoch is no reason for another one.
func (e Epoch) Behind(at Position) Position {
	if at <= e.Position {
		return 0
	}
	fresh := at - e.Position
	if e.At > e.Position && e.At <= at {
		fresh--
	}
	return fresh
}

// SealEpoch is what the service does every while: it signs the roots of all trees.
type SealEpoch struct {
	Number   int64
	Position Position
	Root     Hash  // over the trees of all organizations
	Trees    int64 // how many there are
	Note     string
	Every    Seconds // how often there is one
}

// Decide seals the epoch that is next, if something has happened and it is time. Of
// two nodes that seal at once one does.
func (c SealEpoch) Decide(d *Directory, m Meta) ([]Event, error) {
	last := d.Epoch
	switch {
	case m.Actor.Kind != ActorSystem:
		return nil, Refuse(ErrDenied, "only the service itself does this", "")
	case len(d.SigningKeys) == 0:
		return nil, Refuse(ErrState, "there is no signing key", "set one")
	case c.Number != last.Number+1 || last.Behind(c.Position) == 0:
		return nil, nil
	case last.Number > 0 && m.Time < last.Time+c.Every.Instant()*3/4: // nodes do not tick at once
		return nil, nil
	}
	return []Event{EpochSealed{c.Number, c.Position, c.Root, c.Trees, c.Note}}, nil
}

// EpochSealed says that all histories up to a position are signed.
type EpochSealed struct {
	Number   int64    `json:"number"`
	Position Position `json:"position"`
	Root     Hash     `json:"root"`
	Trees    int64    `json:"trees"`
	Note     string   `json:"note"`
}

// Kind is stored.
func (EpochSealed) Kind() string { return "epoch.sealed" }

// EvolveDirectory remembers it as the last.
func (e EpochSealed) EvolveDirectory(d *Directory, m Meta) {
	d.Epoch = Epoch{e.Number, e.Position, m.Position, m.Time}
}
