package projections

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"

	"jeton/domain"
	"jeton/eventstore"
)

// marker turns addresses into marks: the same one in an organization is always the same
// mark, by which its rows are found, and without the organization's key nobody learns
// from a mark which address it was.
type marker struct {
	vault *eventstore.Vault
	last  struct { // many commits behind each other come from one place
		org           domain.OrganizationID
		address, mark string
	}
}

// of is the mark of an address; of none it is empty.
func (m *marker) of(ctx context.Context, org domain.OrganizationID, address string) (string, error) {
	if address == "" {
		return "", nil
	}
	if m.last.org == org && m.last.address == address {
		return m.last.mark, nil
	}
	mark, err := markOf(ctx, m.vault, org, address)
	m.last.org, m.last.address, m.last.mark = org, address, mark
	return mark, err
}

// markOf is the first half of an HMAC-SHA256 of the address, as package netip writes it.
func markOf(ctx context.Context, vault *eventstore.Vault, org domain.OrganizationID, address string) (string, error) {
	key, err := vault.Key(ctx, "marks-"+org.String())
	if err != nil {
		return "", err
	}
	if parsed, err := netip.ParseAddr(address); err == nil {
		address = parsed.Unmap().String()
	}
	sum := hmac.New(sha256.New, key[:])
	sum.Write([]byte(address))
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// AddressMark is the mark by which an AuditFilter chooses what came from an address.
func (v *Views) AddressMark(ctx context.Context, org domain.OrganizationID, address netip.Addr) (string, error) {
	mark, err := markOf(ctx, v.vault, org, address.String())
	return mark, unavailable(err)
}

const forgetMarks = `
UPDATE audit SET mark = ''
WHERE actor_account = ? AND (organization = ? OR organization IN (SELECT organization FROM audit_past WHERE noun = 'organization'))`

// eraseMarks lets nothing that an account has done be found by where it came from.
func (b batch) eraseMarks(account domain.AccountID) error {
	_, err := b.exec(forgetMarks, account, domain.OrganizationID{}.String())
	return err
}
