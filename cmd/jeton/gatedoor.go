package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/engine"
)

// gateDoor is the door of the registration, made narrower by the engine's file. It
// logs and counts whom it does not let in.
type gateDoor struct {
	*engine.Client
	config *GateConfig
	log    zerolog.Logger
	counts *prometheus.CounterVec
}

func newGateDoor(client *engine.Client, c *GateConfig, log zerolog.Logger) *gateDoor {
	counts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jeton_gate_answers_total", Help: "Answers at the door: how somebody came in, or why not.",
	}, []string{"via", "reason"})
	return &gateDoor{client, c, log, counts}
}

// Check implements engine.Checker.
func (d *gateDoor) Check(p engine.Presented) engine.Answer {
	a := d.narrow(d.Client.Check(p))
	if p.Again {
		d.lookAgain(&a, &p)
		return a
	}
	d.counts.WithLabelValues(string(a.Via), string(a.Reason)).Inc()
	if !a.Allowed {
		level := zerolog.DebugLevel // anybody can make as many of these as they like
		if !a.Token.IsZero() {
			level = zerolog.InfoLevel
		}
		d.log.WithLevel(level).Str("reason", string(a.Reason)).Str("token", a.Token.String()).Stringer("from", p.Address).Msg("not let in")
	}
	return a
}

// lookAgain says of a request that still runs that it is ended.
func (d *gateDoor) lookAgain(a *engine.Answer, p *engine.Presented) {
	if !a.Allowed {
		d.log.Info().Str("reason", string(a.Reason)).Str("token", a.Token.String()).Stringer("from", p.Address).Msg("ended while it ran")
	}
}

// narrow refuses whom the engine's file does not let in.
func (d *gateDoor) narrow(a engine.Answer) engine.Answer {
	if d.config.refuses(a.Via) {
		return engine.Answer{Reason: domain.ReasonDoor, Organization: a.Organization, Engine: a.Engine, Token: a.Token, Age: a.Age, Position: a.Position}
	}
	return a
}

// refuses reports whether the engine's file does not let in who comes that way.
func (c *GateConfig) refuses(via domain.Via) bool {
	switch via {
	case domain.ViaPersonal, domain.ViaService:
		return c.Read && !c.PersonalTokens
	case domain.ViaOpen:
		return c.Verification != ""
	}
	return false
}

// watch says where the registration and the file differ, each time that changes, until
// ctx ends.
func (d *gateDoor) watch(ctx context.Context, every time.Duration) {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	var said *string
	for {
		if now, known := d.differences(); known && (said == nil || now != *said) {
			if said = &now; now != "" {
				d.log.Warn().Msg(now)
			} else {
				d.log.Info().Msg("the registration of the engine and what the gate was told agree")
			}
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

// differences says what the registration and the file differ in; not known: there is
// no copy to ask.
func (d *gateDoor) differences() (text string, known bool) {
	s := d.State()
	if !s.Open {
		return "", false
	}
	c, open := d.config, s.Door.Open && !s.Door.Disabled
	personal := s.Door.PersonalTokens && !s.Door.Disabled
	add := func(is bool, what string) {
		if !is {
			return
		}
		if text != "" {
			text += "; "
		}
		text += what
	}
	add(open && c.Verification != "", "the engine is registered as open, and has a verification token: nobody comes in")
	add(open && c.Verification == "", "THE ENGINE IS OPEN: everybody comes in, whatever they show")
	add(c.Read && personal && !c.PersonalTokens, "the registration lets in personal tokens, and the engine's file does not: they do not come in")
	add(c.Read && !personal && !open && c.PersonalTokens, "the engine's file lets in personal tokens, and its registration does not, or it is disabled there: they do not come in")
	add(!open && c.Verification != "" && !d.verifies(c.Verification), "the verification token of the engine behind is not the one that is registered, or does not open the door: the registered one counts here")
	add(!c.Decide && c.Verification == "", "the engine behind has no verification token: whoever reaches it without the gate comes in, and it believes nobody about who they are")
	return text, true
}

// verifies reports whether a text is the verification token of the registration, and
// opens the door. Only the door itself can say so.
func (d *gateDoor) verifies(text string) bool {
	return d.Client.Check(engine.Presented{Secret: text}).Via == domain.ViaVerification
}

// administration answers for the gate itself.
func (g *Gate) administration(door *gateDoor) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(door.counts, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge := func(name, help string, value func(engine.State) float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(g.Door.State()) }))
	}
	gauge("jeton_gate_open", "1 if checks are answered, 0 if nobody comes in.", func(s engine.State) float64 { return oneIf(s.Open) })
	gauge("jeton_gate_connected", "1 if the gate hears from the service.", func(s engine.State) float64 { return oneIf(s.Connected) })
	gauge("jeton_gate_age_seconds", "How long ago the service was heard last.", func(s engine.State) float64 { return s.Age.Seconds() })
	gauge("jeton_gate_position", "Up to where in the log the gate knows.", func(s engine.State) float64 { return float64(s.Position) })
	gauge("jeton_gate_tokens", "How many tokens the copy has.", func(s engine.State) float64 { return float64(s.Tokens) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{\"live\":true}\n")) })
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// readyz answers how the copy is: 200 if checks are answered, else 503.
func (g *Gate) readyz(w http.ResponseWriter, _ *http.Request) {
	s := g.Door.State()
	said := struct {
		Ready        bool            `json:"ready"`
		Connected    bool            `json:"connected"`
		Position     domain.Position `json:"position"`
		Age          float64         `json:"age_seconds"`
		MaxStaleness float64         `json:"max_staleness_seconds"`
		Organization string          `json:"organization,omitempty"`
		Engine       string          `json:"engine,omitempty"`
		Instance     string          `json:"instance"`
		Platform     string          `json:"platform,omitempty"`
		Error        string          `json:"error,omitempty"`
	}{s.Open, s.Connected, s.Position, s.Age.Seconds(), s.MaxStaleness.Seconds(), s.Organization, s.Engine, s.Instance, s.Platform, ""}
	if s.Err != nil {
		said.Error = s.Err.Error()
	}
	text, _ := json.Marshal(said) // of texts and numbers
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !s.Open {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(text, '\n')) // the caller has gone if it fails
}
