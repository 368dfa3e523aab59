package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/starter"
	"github.com/lakestep/lakestep/shared/host/stepfunctions"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/store"
)

// starterName is the handler of the function that starts executions.
const starterName = "starter"

// openStarter makes the handler of messages from SQS, each of which holds an event.
func openStarter(ctx context.Context, s settings) (step.Handler, error) {
	if s.StateMachine == "" {
		return nil, fault.New(fault.InvalidInput, "read setting", "LAKESTEP_STATE_MACHINE", "it is not set").WithHint("set it in terraform/ and apply")
	}
	cfg, err := compose.AWS(ctx, starterName, "")
	if err != nil {
		return nil, err
	}
	lake, err := compose.OpenStore(ctx, s.Lake)
	if err != nil {
		return nil, err
	}
	st := starter.New(starter.Options{
		Machine: stepfunctions.New(cfg, s.StateMachine), Notes: store.Sub(lake, notesOf(s.StateMachine)), Now: time.Now, NewID: uuid.NewString,
	})
	return func(ctx context.Context, in json.RawMessage) (json.RawMessage, error) {
		if triggers, err := event.Parse(in); err == nil { // not from the queue: messages of a topic, or a test in the console
			out, err := st.Handle(ctx, triggers)
			if err != nil {
				return nil, err
			}
			return json.Marshal(out)
		}
		var batch events.SQSEvent
		if err := json.Unmarshal(in, &batch); err != nil || len(batch.Records) == 0 {
			return nil, fault.New(fault.InvalidInput, "read", "event", "it is neither an event nor a batch of messages of SQS").WithHint("events/ has samples")
		}
		triggers, answer := parse(batch)
		out, err := st.Handle(ctx, triggers)
		if err != nil {
			return nil, err
		}
		slog.Info("events", slog.String("status", out.Status), slog.String("execution", out.Run), slog.Int("events", out.Events), slog.Int("refused", len(answer.BatchItemFailures)))
		return json.Marshal(answer)
	}, nil
}

// notesOf is the folder in the lake for what came during a run of a state machine.
func notesOf(machine string) string {
	return "_lakestep/triggers/" + machine[strings.LastIndex(machine, ":")+1:]
}

// parse reads the events of a batch. A message that is none goes back, and after some more tries to the queue for dead letters.
func parse(batch events.SQSEvent) (triggers []event.Trigger, answer events.SQSEventResponse) {
	answer.BatchItemFailures = []events.SQSBatchItemFailure{}
	for _, m := range batch.Records {
		found, err := event.Parse([]byte(m.Body))
		if err != nil {
			slog.Error("refused", slog.String("messageId", m.MessageId), slog.String("message", err.Error()))
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			continue
		}
		triggers = append(triggers, found...)
	}
	return triggers, answer
}
