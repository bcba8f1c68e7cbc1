package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// proofRoutes are the routes with which an auditor proves what the log says.
func (s *Server) proofRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}/audit/heads", summary: "List what epochs have signed of an organization's history, the newest first",
			access: allowed(domain.LogRead), mount: api(s.auditHeads), audit: "audit.read", reads: readsProof},
		{pattern: "GET /api/v1/organizations/{org}/audit/proof", summary: "Prove that a commit is in the log, or that the log extends what it was",
			access: allowed(domain.LogRead), mount: api(s.auditProof), audit: "audit.read", reads: readsProof},
		{pattern: "GET /.well-known/jeton-signing-keys", summary: "The public keys with which the log is signed, the oldest first",
			access: open, mount: api(s.signingKeys)},
		{pattern: "POST /api/v1/signing-keys", summary: "Rotate the key with which the log is signed", status: 201,
			access: operators, mount: api(s.signingKeyRotate), audit: "signing_key.set"},
	}
}

// signedHead is the tree of an organization as an epoch has signed it.
type signedHead struct {
	Epoch    int64           `json:"epoch" doc:"The number of the epoch."`
	Position domain.Position `json:"position" doc:"Up to where it signs the log."`
	Time     domain.Instant  `json:"time" format:"date-time" doc:"When it was signed."`
	Size     int64           `json:"size" doc:"How many commits of the organization there were."`
	Turn     int64           `json:"turn" doc:"In how many epochs it had changed."`
	Root     string          `json:"root" doc:"The root of its tree, in base 64."`
	Rank     int64           `json:"rank" doc:"Which of all trees it is, from 0."`
	Path     []string        `json:"path" nullable:"false" doc:"Proves that the epoch has this root, in base 64."`
	Note     string          `json:"note" doc:"What was signed, with the signatures."`
}

// heads is a part of a list of them.
type heads struct {
	Items []signedHead `json:"items" nullable:"false" doc:"The heads, the newest first."`
	Next  int64        `json:"next,omitempty" doc:"Where to go on: the before of the next request. Absent: this is the end."`
}

// auditHeads answers GET /api/v1/organizations/{org}/audit/heads.
func (s *Server) auditHeads(ctx context.Context, c Caller, in *struct {
	InOrganization
	Before int64 `query:"before" minimum:"0" doc:"Only epochs before this one."`
	Limit  int   `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"How many at most."`
},
) (*answer[heads], error) {
	rows, err := s.Views.Heads(ctx, c.Organization, in.Before, in.Limit)
	if err != nil {
		return nil, err
	}
	body := heads{Items: make([]signedHead, 0, len(rows))}
	for _, row := range rows {
		h, err := describeHead(row)
		if err != nil {
			return nil, err
		}
		body.Items = append(body.Items, h)
	}
	if len(rows) == in.Limit {
		body.Next = rows[len(rows)-1].Epoch
	}
	return &answer[heads]{Body: body}, nil
}

func describeHead(row projections.HeadRow) (signedHead, error) {
	statement, err := eventstore.ParseNote(row.Note)
	if err != nil {
		return signedHead{}, fmt.Errorf("epoch %d: %w", row.Epoch, err)
	}
	h := signedHead{
		Epoch: row.Epoch, Position: statement.Position, Time: statement.Time,
		Size: row.Size, Turn: row.Turn, Root: row.Root.String(), Rank: row.Rank, Path: make([]string, len(row.Path)), Note: row.Note,
	}
	for i, node := range row.Path {
		h.Path[i] = node.String()
	}
	return h, nil
}

// auditProof answers GET /api/v1/organizations/{org}/audit/proof. What it answers is
// what jeton audit verify reads; see eventstore.Proof.
func (s *Server) auditProof(ctx context.Context, c Caller, in *struct {
	InOrganization
	Position domain.Position `query:"position" maximum:"9223372036854775807" doc:"Of the commit that is to be proved."`
	Epoch    int64           `query:"epoch" minimum:"0" doc:"The epoch that has signed it; absent: the newest. If the organization has not changed in it, the last before it in which it has."`
	From     int64           `query:"from" minimum:"0" doc:"An older epoch: prove that the history as it was signed then is the beginning of this one."`
},
) (*answer[json.RawMessage], error) {
	if in.Position == 0 && in.From == 0 {
		return nil, inQuery(domain.Invalid("position", "is missing", "name the position of a commit, or an older epoch in from"))
	}
	proof, err := s.Views.Prove(ctx, projections.ProofOf{Organization: c.Organization, Position: in.Position, Epoch: in.Epoch, From: in.From})
	if err != nil {
		return nil, ofQuery(err)
	}
	proof.Log, proof.Keys = s.Model.Origin(s.LogID), s.Model.PublicKeys()
	body, err := json.Marshal(proof)
	if err != nil {
		return nil, err
	}
	return &answer[json.RawMessage]{Body: body}, nil
}

// auditBundle answers GET /api/v1/organizations/{org}/audit/export?format=bundle, as a
// stream. One that breaks off has no end, which whoever verifies it sees.
func (s *Server) auditBundle(w http.ResponseWriter, r *http.Request, c Caller) error {
	query := r.URL.Query()
	from, err := strconv.ParseUint(query.Get("from"), 10, 63)
	if query.Has("from") && err != nil {
		return inQuery(domain.Invalid("from", "is no position", "name the position to begin with"))
	}
	header := eventstore.BundleHeader{Log: s.Model.Origin(s.LogID), Organization: c.Organization, Keys: s.Model.PublicKeys()}
	bundle, err := s.Views.Bundle(r.Context(), header, domain.Position(from))
	if err != nil {
		return ofQuery(err)
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Content-Disposition", `attachment; filename="`+strings.ReplaceAll(c.Alias, `"`, "")+`.bundle"`)
	if err := bundle.Write(r.Context(), w); err != nil {
		s.Log.Warn().Err(err).Str("request", c.Request).Msg("a bundle broke off")
		panic(http.ErrAbortHandler)
	}
	return nil
}

// ofQuery is inQuery for what may be wrong with something else.
func ofQuery(err error) error {
	if errors.Is(err, domain.ErrInvalid) {
		return inQuery(err)
	}
	return err
}

// publicKeys are the keys that have signed the log.
type publicKeys struct {
	Log  string                 `json:"log" doc:"The id of the log."`
	Keys []eventstore.PublicKey `json:"keys" nullable:"false" doc:"The keys, the oldest first; the last signs."`
}

// signingKeys answers GET /.well-known/jeton-signing-keys.
func (s *Server) signingKeys(context.Context, Caller, *struct{}) (*answer[publicKeys], error) {
	return &answer[publicKeys]{Body: publicKeys{s.Model.Origin(s.LogID), s.Model.PublicKeys()}}, nil
}

type rotatedKey struct {
	Replaces int64 `json:"replaces,omitempty" minimum:"0" doc:"The number of the key that is to be replaced: refused if it is another one by now. Absent: whichever it is." example:"1"`
}

// signingKeyRotate answers POST /api/v1/signing-keys.
func (s *Server) signingKeyRotate(ctx context.Context, c Caller, in *struct {
	Once
	Body rotatedKey
},
) (*created[eventstore.PublicKey], error) {
	if s.Sealer == nil {
		return nil, domain.Refuse(domain.ErrState, "this service does not sign its log", "ask the operator")
	}
	command, err := s.Sealer.Rotation(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.Replaces != 0 && command.Number != in.Body.Replaces+1 {
		command = domain.RotateSigningKey{} // what is refused as stale, unless it was done and is sent again
	}
	outcome, err := s.Model.ExecuteDirectory(ctx, aboveOrganizations(in.meta(c)), command)
	if err != nil {
		return nil, err
	}
	keys := s.Model.PublicKeys()
	return &created[eventstore.PublicKey]{
		Views: s.settled(ctx, outcome.Position), Replayed: replayed(outcome.Replayed), Body: keys[len(keys)-1],
	}, nil
}
