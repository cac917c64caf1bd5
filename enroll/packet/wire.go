package packet

import "time"

// What station and hub agree on beside tus 1.0: the paths, the key of the
// tus metadata that carries the signed manifest, and the hub's greeting. The
// body of every answer that is not a success is a Refusal in JSON.
const (
	UploadsPath  = "/v1/uploads/"  // tus 1.0
	ReceiptsPath = "/v1/receipts/" // GET with a packet id: the signed receipt
	HelloPath    = "/v1/hello"     // GET: a Hello
	ManifestKey  = "manifest"
)

// Hello is what the hub says of the caller and of itself.
type Hello struct {
	Station string    `json:"station"` // whom the hub takes the caller for
	Time    time.Time `json:"time"`    // by the hub's clock
}
