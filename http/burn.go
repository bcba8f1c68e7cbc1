package http

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"jeton/domain"
)

// burnRequest is a secret that somebody wants to end.
type burnRequest struct {
	Token string `json:"token" doc:"The secret that was found. Whoever has it may end it." maxLength:"4096"`
}

// burn answers POST /api/v1/burn: 204, whatever the secret is or was, so that it
// tells nobody which secrets are good. It is limited by address: somebody who has
// secrets to burn has few, somebody who guesses has many.
func (s *Server) burn(w http.ResponseWriter, r *http.Request, c Caller) error {
	if wait, ok := s.burns.take(c.Address, s.now()); !ok {
		p := problem(http.StatusTooManyRequests, "limited", "too many tokens were burned from there", "try again after the time in Retry-After")
		p.retry = wait
		return p
	}
	var asked burnRequest
	if err := decode(r, &asked); err != nil {
		return err
	}
	if asked.Token == "" {
		return domain.Invalid("token", "is missing", "send the secret that is to be ended")
	}
	if _, err := s.end(r.Context(), c, asked.Token, "whoever had its secret ended it"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// end burns the token of a secret. What is no secret, or none of ours, is nothing
// to end: it does not come near the organization. The log says from where it was asked, not by whom: nobody has signed in.
func (s *Server) end(ctx context.Context, c Caller, secret, reason string) (genuine bool, err error) {
	org, genuine, err := s.Model.Owner(secret)
	if err != nil || !genuine {
		return false, err
	}
	shown, _ := domain.ParseSecret(secret)
	meta := domain.Meta{Organization: org, Actor: domain.Actor{Kind: domain.ActorBearer, Token: shown.Token}, Request: c.Request, Agent: agentOf(c)}
	if c.Address.IsValid() {
		meta.Address = c.Address.String()
	}
	_, err = s.Model.Execute(ctx, meta, domain.BurnToken{Token: shown.Token, Hash: shown.Hash, Reason: reason})
	if refused(err) { // an organization that was deleted: there is nothing left to end
		err = nil
	}
	return true, err
}

// scanningReport answers POST /api/v1/secret-scanning: a scanner's signed list of
// secrets that it found in public. All that are ours end.
func (s *Server) scanningReport(w http.ResponseWriter, r *http.Request, c Caller) error {
	if !s.ScanningKeys.known(r.Header) { // before strangers may send megabytes
		return errScanSignature
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if err := s.ScanningKeys.verify(r.Header, body); err != nil {
		return err
	}
	findings, err := parseFindings(body)
	if err != nil {
		return err
	}
	labels := make([]scanLabel, 0, len(findings))
	for _, f := range findings {
		genuine, err := s.end(r.Context(), c, f.Token, f.reason())
		if err != nil {
			return err
		}
		labels = append(labels, f.label(genuine))
	}
	return encode(w, labels)
}

// reason is where a secret was found, for the log.
func (f finding) reason() string {
	const most = 500
	found := "found by secret scanning"
	if url := redact(f.URL); url != "" && len(url) <= most && printable(url) {
		found += " at " + url
	}
	return found
}

// printable reports whether a text of strangers can stand in the log.
func printable(text string) bool {
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

const (
	burnsPerMinute = 10
	burnWindow     = time.Minute
	manyAddresses  = 100_000
)

// addresses counts what strangers do, by where they come from. An address of
// version 6 counts with all of its network: one connection has that many.
type addresses struct {
	mu     sync.Mutex
	window int64
	counts map[netip.Prefix]int
}

// take counts one request. It is false, with the seconds to wait, for one too many.
func (a *addresses) take(from netip.Addr, now time.Time) (wait int, ok bool) {
	bits := 32
	if from.Is6() {
		bits = 64
	}
	network, _ := from.Prefix(bits) // nobody knows from where: they count together
	window := now.UnixNano() / int64(burnWindow)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.window != window || a.counts == nil {
		a.window, a.counts = window, map[netip.Prefix]int{}
	}
	if a.counts[network] >= burnsPerMinute || len(a.counts) >= manyAddresses {
		left := burnWindow - time.Duration(now.UnixNano()%int64(burnWindow))
		return int((left + time.Second - 1) / time.Second), false
	}
	a.counts[network]++
	return 0, true
}
