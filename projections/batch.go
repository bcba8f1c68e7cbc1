package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
)

// batch is a transaction that writes commits.
type batch struct {
	ctx        context.Context
	tx         *sqlx.Tx
	statements map[string]*sqlx.Stmt // of this transaction; nil: run once so far
	trees      *trees
}

// commit writes commits that follow the checkpoint, with the checkpoint, or
// nothing. It has not moved if the checkpoint is not where it was seen.
func (f *follower) commit(ctx context.Context, fresh []pending) (moved bool, err error) {
	err = f.within(ctx, func(tx *sqlx.Tx) error {
		b := batch{ctx, tx, map[string]*sqlx.Stmt{}, f.trees}
		// First, because it locks: another server waits here and then finds that
		// the checkpoint has moved.
		moved, err = b.move(f.at, fresh[len(fresh)-1].Head())
		if err != nil || !moved {
			return err
		}
		return b.write(fresh, f.vault)
	})
	if !moved || err != nil {
		f.trees = newTrees() // they may have grown by what was not written
	}
	return moved && err == nil, err
}

func (b batch) move(from checkpoint, to eventstore.Head) (bool, error) {
	n, err := b.exec(moveCheckpoint, to.Position, to.Chain, from.Position, from.Chain, from.StoreID, from.Schema)
	return n == 1, err
}

func (b batch) write(fresh []pending, vault *eventstore.Vault) error {
	if err := b.keep(fresh); err != nil {
		return err
	}
	if err := b.grow(fresh); err != nil {
		return err
	}
	audit, err := b.auditor(fresh, vault)
	if err != nil {
		return err
	}
	for _, p := range fresh {
		if err := b.keepPast(p.commit); err != nil {
			return err
		}
		for i, e := range p.commit.Events {
			if err := errors.Join(audit.note(p.commit.Meta, i, e), b.event(p.commit.Meta, e)); err != nil {
				return fmt.Errorf("commit %d, %s: %w", p.Position, e.Kind(), err)
			}
		}
		if err := b.keepVersions(p.commit); err != nil {
			return err
		}
	}
	return audit.write()
}

// event writes what an event means. What each one writes stands in its noun's file.
func (b batch) event(m domain.Meta, e domain.Event) error {
	switch e := e.(type) {
	case domain.AccountRegistered:
		return b.accountRegistered(m, e)
	case domain.AccountDeleted:
		return b.accountDeleted(m, e)
	case domain.AccountErased:
		return b.accountErased(m, e)
	case domain.OrganizationCreated:
		return b.organizationCreated(m, e)
	case domain.OrganizationRenamed:
		return b.organizationRenamed(m, e)
	case domain.OrganizationDeleted:
		return b.organizationDeleted(m, e)
	case domain.MemberAdded:
		return b.memberAdded(m, e)
	case domain.MemberRoleChanged:
		return b.memberRoleChanged(m, e)
	case domain.MemberSuspended:
		return b.memberSuspended(m, e)
	case domain.MemberReinstated:
		return b.memberReinstated(m, e)
	case domain.MemberRemoved:
		return b.memberRemoved(m, e)
	case domain.HolderLimited:
		return b.holderLimited(m, e)
	case domain.ServiceAccountCreated:
		return b.serviceAccountCreated(m, e)
	case domain.ServiceAccountRenamed:
		return b.serviceAccountRenamed(m, e)
	case domain.ServiceAccountDescribed:
		return b.serviceAccountDescribed(m, e)
	case domain.ServiceAccountGranted:
		return b.serviceAccountGranted(m, e)
	case domain.ServiceAccountSwitched:
		return b.serviceAccountSwitched(m, e)
	case domain.ServiceAccountDeleted:
		return b.serviceAccountDeleted(m, e)
	case domain.EngineRegistered:
		return b.engineRegistered(m, e)
	case domain.EngineListed:
		return b.engineListed(m, e)
	case domain.EngineDoorSet:
		return b.engineDoorSet(m, e)
	case domain.EngineSwitched:
		return b.engineSwitched(m, e)
	case domain.EngineTokenReplaced:
		return b.engineTokenReplaced(m, e)
	case domain.EngineDeleted:
		return b.engineDeleted(m, e)
	case domain.ProjectCreated:
		return b.projectCreated(m, e)
	case domain.RecordKept:
		return b.recordKept(m, e)
	case domain.RecordAmended:
		return b.recordAmended(m, e)
	case domain.RecordsRemoved:
		return b.recordsRemoved(m, e)
	case domain.EpochSealed:
		return b.epochSealed(m, e)
	case domain.OperatorNamed, domain.OperatorDismissed, domain.SigningKeySet, domain.PolicyChanged,
		domain.PermissionDefined, domain.PermissionRetired, domain.RoleCreated, domain.RoleChanged, domain.RoleDeleted,
		domain.TokenExpiring, domain.AccessRefused, domain.AuditRead, domain.AuditExported,
		domain.WebhookCreated, domain.WebhookChanged, domain.WebhookSwitched, domain.WebhookSecretReplaced, domain.WebhookDeleted:
		return nil // the model has them, or nothing has changed
	}
	return b.tokenEvent(m, e)
}

// tokenEvent is event for what is about tokens.
func (b batch) tokenEvent(m domain.Meta, e domain.Event) error {
	switch e := e.(type) {
	case domain.TokenIssued:
		return b.tokenIssued(m, e)
	case domain.TokenBound:
		return b.tokenBound(m, e)
	case domain.TokenUnbound:
		return b.tokenUnbound(m, e)
	case domain.TokenRenamed:
		return b.tokenRenamed(m, e)
	case domain.TokenDescribed:
		return b.tokenDescribed(m, e)
	case domain.TokenExpiryChanged:
		return b.tokenExpiryChanged(m, e)
	case domain.TokenRotated:
		return b.tokenRotated(m, e)
	case domain.TokenReused:
		return b.tokenReused(m, e)
	case domain.OverlapEnded:
		return b.overlapEnded(m, e)
	case domain.TokenRevoked:
		return b.end(m, e.Token, ByRevocation, e.Reason)
	case domain.TokensRevoked:
		return b.tokensRevoked(m, e)
	case domain.TokenBurned:
		return b.end(m, e.Token, ByBurn, e.Reason)
	case domain.ApprovalRequested:
		return b.approvalRequested(m, e)
	case domain.ApprovalGiven:
		return b.approvalGiven(m, e)
	case domain.ApprovalRefused:
		return b.end(m, e.Token, ByRefusal, e.Reason)
	case domain.ApprovalLapsed:
		return b.end(m, e.Token, ByLapse, "")
	}
	return errors.New("the views do not know this kind of event")
}

// change runs a statement that changes exactly one row: an event about something
// that is not there is an error, not nothing.
func (b batch) change(query string, args ...any) error {
	n, err := b.exec(query, args...)
	if err == nil && n != 1 {
		return fmt.Errorf("it changed %d rows instead of one", n)
	}
	return err
}

// one reads the one row of a query into its columns. None is an error: an event is
// about what there is.
func (b batch) one(query string, args []any, columns ...any) error {
	return b.tx.QueryRowContext(b.ctx, b.tx.Rebind(query), values(args)...).Scan(columns...)
}

// exec answers how many rows a statement touched. What runs again in a batch is
// prepared; a batch of one commit saves itself that trip to the server.
func (b batch) exec(query string, args ...any) (int64, error) {
	prepared, again := b.statements[query]
	if !again {
		b.statements[query] = nil
		return affected(b.tx.ExecContext(b.ctx, b.tx.Rebind(query), values(args)...))
	}
	if prepared == nil {
		var err error
		if prepared, err = b.tx.PreparexContext(b.ctx, b.tx.Rebind(query)); err != nil {
			return 0, err
		}
		b.statements[query] = prepared // closed with the transaction
	}
	return affected(prepared.ExecContext(b.ctx, values(args)...))
}

// rows is a list of n rows of parameters: (?,?),(?,?).
func rows(n, columns int) string {
	row := "(?" + strings.Repeat(",?", columns-1) + ")"
	return row + strings.Repeat(","+row, n-1)
}
