package engine

import (
	"encoding/json"
	"net/http"
	"strconv"

	"jeton/domain"
)

// refusal is a no as whoever asked gets it: in the shape that programs of Database
// Lab read, and with no word about why.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`

	status int
	header [2]string // one more header, if it has a name
}

func (f *refusal) write(w http.ResponseWriter) {
	text, _ := json.Marshal(f) // of two strings
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if f.header[0] != "" {
		h.Set(f.header[0], f.header[1])
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(append(text, '\n')) // the caller has gone if it fails
}

func badRequest(err error) *refusal {
	return &refusal{Code: "BAD_REQUEST", Message: err.Error(), status: http.StatusBadRequest}
}

// refusal is what an answer says to whom it does not let in. That a token is good but
// not for this is told only to who has a good one.
func (a *Answer) refusal() *refusal {
	switch a.Reason {
	case domain.ReasonPermission, domain.ReasonResource:
		return &refusal{"FORBIDDEN", "The token does not allow this.", http.StatusForbidden, [2]string{"WWW-Authenticate", `Bearer realm="jeton", error="insufficient_scope"`}}
	case domain.ReasonLimited:
		return &refusal{"TOO_MANY_REQUESTS", "The token was used too often. Try again later.", http.StatusTooManyRequests, [2]string{"Retry-After", a.wait()}}
	case domain.ReasonStale:
		return &refusal{"UNAVAILABLE", "The engine has lost its connection to the platform and lets nobody in. Try again later.", http.StatusServiceUnavailable, [2]string{"Retry-After", "1"}}
	}
	return &refusal{"UNAUTHORIZED", "Check your verification token.", http.StatusUnauthorized, [2]string{"WWW-Authenticate", `Bearer realm="jeton"`}}
}

// wait is after how many seconds the next window of the limit begins.
func (a *Answer) wait() string { return strconv.FormatInt(int64((a.Limit.Resets-a.At+999)/1000), 10) }
