package domain

// Actor is who acts, and with what. It is made by the door (a checked token) and
// believed by nobody else: Decide looks the actor up in the state again.
type Actor struct {
	Kind    ActorKind `json:"kind"`
	Account AccountID `json:"account,omitzero"` // the person or service account
	Token   TokenID   `json:"token,omitzero"`   // what they showed
}

// ActorKind says in which role somebody acts.
type ActorKind string

const (
	// ActorMember is a person who showed a personal token.
	ActorMember ActorKind = "member"
	// ActorToken is a program that showed an administrative token: no person.
	ActorToken ActorKind = "token"
	// ActorService is a machine that showed a token of a service account.
	ActorService ActorKind = "service"
	// ActorBearer is whoever showed a secret, and nothing else: they can burn it.
	ActorBearer ActorKind = "bearer"
	// ActorSystem is this service itself: it founds the platform, warns, and ends what nobody has decided about.
	ActorSystem ActorKind = "system"
)
