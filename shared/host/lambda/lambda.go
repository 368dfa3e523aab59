// Package lambda carries a step on AWS Lambda: one function a step, all of one program.
//
// The error that the runtime is answered has the fault's kind as its errorType, which is what Retry and Catch of the state machine match; the
// runtime's own choice, the name of the Go type, would match nothing.
package lambda

import (
	"context"
	"encoding/json"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/step"
)

// Grace is how long before the function's own time limit a step is stopped, so that it answers with an error that is retried, and frees what it holds:
// a function that is cut off says nothing.
const Grace = 10 * time.Second

// Options are what a Handler needs.
type Options struct {
	Name   string // of the step
	Handle step.Handler
	Log    *slog.Logger
	Now    func() time.Time
}

// Handler is what the runtime calls.
type Handler func(ctx context.Context, input json.RawMessage) (json.RawMessage, error)

// New makes a step's handler.
func New(o Options) Handler {
	return func(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
		began := o.Now()
		log := o.Log.With(identity(ctx, input)...)
		log.Debug("begins")
		if until, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, until.Add(-min(Grace, until.Sub(began)/4)))
			defer cancel()
		}
		output, err := o.call(ctx, input, log)
		took := slog.Float64("seconds", o.Now().Sub(began).Seconds())
		if err == nil {
			log.Info("done", took, slog.Any("output", output))
			return output, nil
		}
		kind := fault.KindOf(err)
		log.Log(context.WithoutCancel(ctx), level(kind), "failed", took, slog.String("error", string(kind)), slog.String("message", err.Error()), slog.String("hint", fault.HintOf(err)))
		name, cause := host.Failure(err)
		return nil, messages.InvokeResponse_Error{Type: name, Message: cause}
	}
}

// call runs the step. A panic is an Internal fault: its stack goes to the log, and no further, for it may hold data.
func (o Options) call(ctx context.Context, input json.RawMessage, log *slog.Logger) (output json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic", slog.String("stack", string(debug.Stack())))
			err = fault.New(fault.Internal, "run step", o.Name, "panic: %v", p).WithHint("this is a bug in the step; report it with the stack in the function's log")
		}
	}()
	output, err = o.Handle(ctx, input)
	if err == nil && len(output) > host.MaxPayload {
		return nil, fault.New(fault.Internal, "run step", o.Name, "its result has %d bytes, more than the %d that a state machine passes on", len(output), host.MaxPayload)
	}
	if err != nil && ctx.Err() != nil {
		return nil, fault.New(fault.Unavailable, "run step", o.Name, "the function's time is up: %w", err).
			WithHint("raise the function's timeout or memory, or take smaller pages (page_rows, page_bytes)")
	}
	return output, err
}

// level of a log line: what the state machine repeats by itself is a warning.
func level(k fault.Kind) slog.Level {
	if k.Retryable() || k == fault.Stale {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// identity is what finds an invocation again: the request, the trace, and what the input says of the run.
func identity(ctx context.Context, input json.RawMessage) []any {
	var known []any
	if c, ok := lambdacontext.FromContext(ctx); ok {
		known = append(known, slog.String("requestId", c.AwsRequestID))
	}
	if trace, _ := ctx.Value("x-amzn-trace-id").(string); trace != "" { // set by aws-lambda-go, which has no name for the key
		known = append(known, slog.String("trace", root(trace)))
	}
	var in struct {
		Run   string `json:"run"`
		Table string `json:"table"`
	}
	if json.Unmarshal(input, &in) == nil {
		if in.Run != "" {
			known = append(known, slog.String("run", in.Run))
		}
		if in.Table != "" {
			known = append(known, slog.String("table", in.Table))
		}
	}
	return known
}

// root is the part of a trace header that names the trace: Root=1-...;Parent=...;Sampled=1.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func root(header string) string {
	for part := range strings.SplitSeq(header, ";") {
		if id, ok := strings.CutPrefix(strings.TrimSpace(part), "Root="); ok {
			return id
		}
	}
	return header
}
