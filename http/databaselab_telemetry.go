package http

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"jeton/domain"
)

func (d *dialect) telemetryRoutes() []route {
	return []route{
		{pattern: "POST " + d.databaseLab("/rpc/telemetry_event"), summary: "Tell what has happened in an engine", audit: "record.kept",
			access: open, mount: labMount(d, nil, d.telemetryEvent)},
		labFunction(d, "telemetry_usage", "Tell how large an engine is", "record.kept", d.telemetryUsage, domain.LabTelemetry),
	}
}

// labEvent is what an engine says has happened.
type labEvent struct {
	labCaller
	InstanceID *string         `json:"instance_id"`
	EventType  *string         `json:"event_type"`
	EventData  json.RawMessage `json:"event_data"`
}

// telemetryEvent answers rpc/telemetry_event. An engine as it is installed tells what
// happens in it and shows nothing: nobody can say whose it is, so nothing of that is
// kept, and it is answered so that it does not log an error each time. What comes with
// a token is kept for its organization, and a token that is not good is an error.
func (d *dialect) telemetryEvent(w http.ResponseWriter, r *http.Request, c Caller) error {
	known := labArguments[labEvent](d, decode, domain.LabTelemetry)
	err := d.admit(r, known, &c)
	if err == nil {
		err = d.Model.Err()
	}
	if err == nil {
		err = d.keepEvent(r.Context(), c, r.Body.(*labBody[labEvent]).arguments)
	}
	if err != nil && !errors.Is(err, errNoCredential) {
		return err
	}
	return encode(w, struct{}{})
}

// keepEvent does not wait for the views: nobody looks at telemetry at once.
func (d *dialect) keepEvent(ctx context.Context, c Caller, asked labEvent) error {
	what, err := labText("event_type", asked.EventType, "say what has happened")
	if err != nil {
		return err
	}
	if err := labShort("event_type", what, orEmpty(asked.InstanceID)); err != nil {
		return err
	}
	p := parcel{facts: map[string]any{"instance_id": orEmpty(asked.InstanceID), "event_type": what, "event_data": valueOrNull(asked.EventData)}}
	_, err = d.keep(ctx, c, domain.KeepRecord{Kind: domain.LabEvent}, p)
	return err
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// orNull is a value that may not have been sent.
func valueOrNull(value json.RawMessage) json.RawMessage {
	if len(value) == 0 {
		return json.RawMessage("null")
	}
	return value
}

// labUsage is how large an engine is.
type labUsage struct {
	labCaller
	InstanceID *string `json:"selfassigned_instance_id"`
	EventData  *struct {
		CPU         int64  `json:"cpu"`
		TotalMemory uint64 `json:"total_memory"`
		DataSize    uint64 `json:"data_size"`
	} `json:"event_data"`
}

// labBilling answers it. Nothing is billed here, so that billing is always active:
// anything else stops the engine from making clones.
type labBilling struct {
	Result        string `json:"result"`
	BillingActive bool   `json:"billing_active"`
	RecognizedOrg labOrg `json:"recognized_org"`
}

type labOrg struct {
	ID    domain.Position `json:"id"`
	Name  string          `json:"name"`
	Alias string          `json:"alias"`
	Until *domain.Instant `json:"priveleged_until"` // engines spell it so
}

// telemetryUsage answers rpc/telemetry_usage.
func (d *dialect) telemetryUsage(ctx context.Context, c Caller, asked labUsage) (any, error) {
	instance, err := labText("selfassigned_instance_id", asked.InstanceID, "send the id that the engine gave itself")
	if err != nil {
		return nil, err
	}
	if asked.EventData == nil {
		return nil, domain.Invalid("event_data", "is missing", "say how large the engine is")
	}
	if err := labShort("selfassigned_instance_id", instance); err != nil {
		return nil, err
	}
	usage := asked.EventData
	p := parcel{facts: map[string]any{
		"selfassigned_instance_id": instance, "cpu": usage.CPU, "total_memory": usage.TotalMemory, "data_size": usage.DataSize,
	}}
	if _, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.LabUsage}, p); err != nil {
		return nil, err
	}
	profile, _ := d.Model.Profile(c.Organization)
	return labBilling{"OK", true, labOrg{profile.Number, profile.Name, profile.Alias, nil}}, nil
}
