package http

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jeton/domain"
)

// metrics counts what the door sees. There are no labels per organization, token
// or person: their number has no bound, and names do not belong here.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	checks   map[domain.Reason]prometheus.Counter
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jeton_http_request_duration_seconds", Help: "Time from the first byte of a request to its answer, by route.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5},
		}, []string{"route"}),
		checks: map[domain.Reason]prometheus.Counter{},
	}
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jeton_checks_total", Help: "Tokens checked, by the reason why they were refused (active: they were not).",
	}, []string{"reason"})
	for _, reason := range domain.Reasons {
		m.checks[reason] = checks.WithLabelValues(label(reason))
	}
	if registry != nil {
		registry.MustRegister(m.requests, m.duration, checks)
	}
	return m
}

func label(reason domain.Reason) string {
	if reason == domain.ReasonNone {
		return "active"
	}
	return string(reason)
}

// of is the observer of one route. What it needs for the common answer is looked
// up once.
func (m *metrics) of(r route) func(status int, took time.Duration) {
	ok, duration := m.requests.WithLabelValues(r.pattern, "200"), m.duration.WithLabelValues(r.pattern)
	return func(status int, took time.Duration) {
		duration.Observe(took.Seconds())
		if status == 200 {
			ok.Inc()
			return
		}
		m.requests.WithLabelValues(r.pattern, strconv.Itoa(status)).Inc()
	}
}

func (m *metrics) checked(reason domain.Reason) {
	if counter, known := m.checks[reason]; known {
		counter.Inc()
	}
}
