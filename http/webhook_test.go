package http

// hasWebhook is a webhook of acme: {name} is its number, {name.hook} its secret.
func hasWebhook(name, url string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made("ann", "POST /api/v1/organizations/acme/webhooks", `{"name":"`+name+`","url":"`+url+`"}`)
		w.names[name], w.names[name+".hook"] = number(made["id"]), made["secret"].(string)
	}
}
