package domain

import (
	"encoding/json"
	"fmt"
)

// vocabulary is every kind of event that was ever stored and how it is read
// back. A kind is never removed and never means something else: what has changed
// its meaning is a new kind. A field may be added while old events still mean
// what they meant; a field that narrows what an event allows needs a new kind,
// because a reader from before would not see it.
var vocabulary = map[string]func(func(into any) error) (Event, error){
	"account.registered":        read[AccountRegistered],
	"account.deleted":           read[AccountDeleted],
	"account.erased":            read[AccountErased],
	"operator.named":            read[OperatorNamed],
	"operator.dismissed":        read[OperatorDismissed],
	"organization.created":      read[OrganizationCreated],
	"organization.renamed":      read[OrganizationRenamed],
	"organization.deleted":      read[OrganizationDeleted],
	"policy.changed":            read[PolicyChanged],
	"permission.defined":        read[PermissionDefined],
	"permission.retired":        read[PermissionRetired],
	"role.created":              read[RoleCreated],
	"role.changed":              read[RoleChanged],
	"role.deleted":              read[RoleDeleted],
	"member.added":              read[MemberAdded],
	"member.role_changed":       read[MemberRoleChanged],
	"member.suspended":          read[MemberSuspended],
	"member.reinstated":         read[MemberReinstated],
	"member.removed":            read[MemberRemoved],
	"holder.limited":            read[HolderLimited],
	"service_account.created":   read[ServiceAccountCreated],
	"service_account.renamed":   read[ServiceAccountRenamed],
	"service_account.described": read[ServiceAccountDescribed],
	"service_account.granted":   read[ServiceAccountGranted],
	"service_account.switched":  read[ServiceAccountSwitched],
	"service_account.deleted":   read[ServiceAccountDeleted],
	"token.issued":              read[TokenIssued],
	"token.bound":               read[TokenBound],
	"token.unbound":             read[TokenUnbound],
	"token.renamed":             read[TokenRenamed],
	"token.described":           read[TokenDescribed],
	"token.expiry_changed":      read[TokenExpiryChanged],
	"token.expiring":            read[TokenExpiring],
	"token.rotated":             read[TokenRotated],
	"token.reused":              read[TokenReused],
	"token.revoked":             read[TokenRevoked],
	"tokens.revoked":            read[TokensRevoked],
	"token.burned":              read[TokenBurned],
	"token.overlap_ended":       read[OverlapEnded],
	"engine.registered":         read[EngineRegistered],
	"engine.listed":             read[EngineListed],
	"engine.door_set":           read[EngineDoorSet],
	"engine.switched":           read[EngineSwitched],
	"engine.token_replaced":     read[EngineTokenReplaced],
	"engine.deleted":            read[EngineDeleted],
	"project.created":           read[ProjectCreated],
	"record.kept":               read[RecordKept],
	"record.amended":            read[RecordAmended],
	"records.removed":           read[RecordsRemoved],
	"approval.requested":        read[ApprovalRequested],
	"approval.given":            read[ApprovalGiven],
	"approval.refused":          read[ApprovalRefused],
	"approval.lapsed":           read[ApprovalLapsed],
	"epoch.sealed":              read[EpochSealed],
	"signing_key.set":           read[SigningKeySet],
	"access.refused":            read[AccessRefused],
	"audit.read":                read[AuditRead],
	"audit.exported":            read[AuditExported],
	"webhook.created":           read[WebhookCreated],
	"webhook.changed":           read[WebhookChanged],
	"webhook.switched":          read[WebhookSwitched],
	"webhook.secret_replaced":   read[WebhookSecretReplaced],
	"webhook.deleted":           read[WebhookDeleted],
}

// ReadEvent reads the JSON of a stored event.
func ReadEvent(kind string, data []byte) (Event, error) {
	return DecodeEvent(kind, func(into any) error { return json.Unmarshal(data, into) })
}

// DecodeEvent reads a stored event with a decoder of the caller's. A kind that is
// not in the vocabulary is an error that stops the reader: it was written by a
// younger version, and skipping it could bring a revoked token back.
func DecodeEvent(kind string, decode func(into any) error) (Event, error) {
	read, known := vocabulary[kind]
	if !known {
		return nil, fmt.Errorf("event kind %q is unknown: it needs a newer version of this program", clip(kind))
	}
	event, err := read(decode)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", kind, err)
	}
	return event, nil
}

func read[E Event](decode func(into any) error) (Event, error) {
	var e E
	if err := decode(&e); err != nil {
		return nil, err
	}
	return e, nil
}
