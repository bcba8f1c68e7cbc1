package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"jeton/domain"
)

// reporter says to the platform how far the copy is, how tokens were used, and which
// secrets were shown that had been rotated out. One
// report is under way at a time, and the last position counts.
//
// A report whose outcome is not known is sent again: uses are counted once or, if
// only the answer was lost, twice, and never not at all. One that the platform says
// is wrong is dropped.
type reporter struct {
	client *Client
	wake   chan domain.Position
	at     domain.Position
	batch  []Use // of the report that was not answered
	reused []Reuse
}

func (r *reporter) begin(c *Client) { r.client, r.wake = c, make(chan domain.Position, 1) }

// reached says how far the copy is, and that it is kept. The reader calls it, alone.
func (r *reporter) reached(at domain.Position) {
	select {
	case <-r.wake: // what was to be said is older
	default:
	}
	r.wake <- at
}

func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(r.client.pace.reports)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.last()
			return
		case r.at = <-r.wake:
		case <-tick.C:
		}
		for r.at != 0 && r.client.connected() && r.send(ctx) {
		}
	}
}

// last reports what there still is, while the client is being closed.
func (r *reporter) last() {
	select {
	case r.at = <-r.wake: // nobody had the time to say it
	default:
	}
	if r.collect(); r.empty() || r.at == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.client.pace.goodbye)
	defer cancel()
	for r.send(ctx) {
	}
}

// send sends a report, and says whether there is more to be sent at once.
func (r *reporter) send(ctx context.Context) (more bool) {
	r.collect()
	err := r.client.post(ctx, Report{r.client.config.Instance, r.at, r.batch, r.reused})
	var no *answered
	switch {
	case err == nil:
		more = len(r.batch) == MaxUses || len(r.reused) == MaxReused
	case errors.Is(err, ErrRefused):
		r.client.endStream(err)
		return false
	case !errors.As(err, &no) || !no.final():
		return false
	default:
		r.client.config.Log.Warn().Err(err).Int("uses", len(r.batch)).Int("reused", len(r.reused)).Msg("the platform refuses a report of uses; it is dropped")
	}
	r.batch, r.reused = nil, nil
	return more
}

// collect fills the report, unless one waits for its answer.
func (r *reporter) collect() {
	if !r.empty() {
		return
	}
	r.reused = r.client.copy.reused.take(MaxReused)
	if r.batch = r.client.copy.carriedUses(MaxUses); len(r.batch) < MaxUses {
		r.batch = append(r.batch, r.client.copy.uses(MaxUses-len(r.batch))...)
	}
}

func (r *reporter) empty() bool { return len(r.batch) == 0 && len(r.reused) == 0 }

func (c *Client) connected() bool {
	c.copy.mu.RLock()
	defer c.copy.mu.RUnlock()
	return c.copy.connected
}

func (c *Client) post(ctx context.Context, report Report) error {
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.pace.reports)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.URL+ReportPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
