package http

import (
	"fmt"
	"net/http"
	"strconv"

	"jeton/domain"
	"jeton/projections"
)

// limited is that a token was used more often than it may.
type limited struct {
	domain.Allowance
	at domain.Instant
}

func (l *limited) Error() string { return "too many requests" }

func (l *limited) problem() *Problem {
	p := problem(http.StatusTooManyRequests, "limited",
		fmt.Sprintf("the token may be used %d times in %s", l.Requests, l.Window), fmt.Sprintf("try again in %s", domain.Seconds(seconds(l.Resets-l.at))))
	p.retry = seconds(l.Resets - l.at)
	return p
}

// seconds is a length of time in whole seconds, the begun one included.
func seconds(length domain.Instant) int { return int((length + 999) / 1000) }

// tell puts above an answer what its caller should know of their token: what is
// left of its limit, that it ends soon, that its secret was replaced.
func (c *Caller) tell(h http.Header) {
	if !c.Allowance.IsZero() {
		h.Set("RateLimit-Policy", fmt.Sprintf(`"token";q=%d;w=%d`, c.Allowance.Requests, c.Allowance.Window))
		h.Set("RateLimit", fmt.Sprintf(`"token";r=%d;t=%d`, c.Allowance.Remaining, seconds(c.Allowance.Resets-c.At)))
	}
	if warning := warn(&c.Checked); warning != "" {
		h.Set("Jeton-Warning", warning)
	}
	if _, soon := c.Token.DaysLeft(c.At); soon {
		h.Set("Jeton-Token-Expires-In", strconv.Itoa(seconds(c.Token.Expires-c.At)))
	}
}

// warn is what whoever uses a token should be told: in answers, because programs
// read no mail.
func warn(c *projections.Checked) string {
	if !c.Active() {
		return ""
	}
	if c.Replaced != 0 {
		return "this secret was replaced and works until " + c.Replaced.String()
	}
	days, soon := c.Token.DaysLeft(c.At)
	switch {
	case !soon:
		return ""
	case days == 0:
		return "this token expires within a day, at " + c.Token.Expires.String()
	case days == 1:
		return "this token expires in 1 day, at " + c.Token.Expires.String()
	}
	return fmt.Sprintf("this token expires in %d days, at %s", days, c.Token.Expires)
}
