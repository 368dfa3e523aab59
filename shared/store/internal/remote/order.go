package remote

import "github.com/lakestep/lakestep/shared/fault"

// Order checks that the keys of a listing ascend: all that reads a log relies on it, and not every service that speaks a protocol keeps to it.
type Order struct{ After string }

// Check is an Internal fault for a key that is not behind the one before.
func (o *Order) Check(prefix, key string) error {
	if key <= o.After {
		return fault.New(fault.Internal, "list", prefix, "the service lists %q behind %q", key, o.After).
			WithHint("its listings are not in ascending order of bytes, which a Delta log needs: keep the lake elsewhere")
	}
	o.After = key
	return nil
}
