package sync

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"chipid/enroll/packet"
)

// Client speaks to one hub as one station: tus 1.0 (core protocol and
// creation) over mutual TLS 1.3. Each method makes one attempt; Retry makes
// more.
type Client struct {
	base  *url.URL
	http  *http.Client
	stall time.Duration
	chunk int64
	now   func() time.Time
}

// ClientOptions configure a Client; zero values mean the defaults.
type ClientOptions struct {
	Certificate tls.Certificate // the station's
	CAs         *x509.CertPool  // that the hub's certificate must come from
	Now         func() time.Time
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Stall       time.Duration // give an attempt up when nothing moved so long; default 45 s
	Chunk       int64         // octets in one PATCH, each acknowledged as stored; default 4 MiB
}

// maxAnswer bounds what is read of an answer of the hub.
const maxAnswer = 64 << 10

// CheckAddress tells whether address is one that a hub can have.
func CheckAddress(address string) error {
	_, err := parseAddress(address)
	return err
}

func parseAddress(address string) (*url.URL, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "https" || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("%q is not the address of a hub: https://HOST:PORT", address)
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host}, nil
}

// NewClient makes a client of the hub at address: https://HOST:PORT.
func NewClient(address string, opt ClientOptions) (*Client, error) {
	base, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	if opt.Stall == 0 {
		opt.Stall = 45 * time.Second
	}
	if opt.Chunk == 0 {
		opt.Chunk = 4 << 20
	}
	if opt.Dial == nil {
		opt.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return &Client{
		base: base, stall: opt.Stall, chunk: opt.Chunk, now: opt.Now,
		http: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            opt.Dial,
				TLSHandshakeTimeout:    15 * time.Second,
				MaxResponseHeaderBytes: 32 << 10,
				IdleConnTimeout:        60 * time.Second,
				TLSClientConfig: &tls.Config{
					MinVersion:   tls.VersionTLS13,
					Certificates: []tls.Certificate{opt.Certificate},
					RootCAs:      opt.CAs,
					Time:         opt.Now,
				},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close lets the connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Hello asks the hub whom it takes us for, and the time.
func (c *Client) Hello(ctx context.Context) (h packet.Hello, err error) {
	body, _, err := c.do(ctx, "greet the hub", "GET", packet.HelloPath, nil, nil, http.StatusOK)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return h, fmt.Errorf("greet the hub: what answers at %s is no hub: %w", c.base.Host, err)
	}
	return h, nil
}

// Account asks which of this station's packet numbers the hub knows.
func (c *Client) Account(ctx context.Context) (a packet.Account, err error) {
	body, _, err := c.do(ctx, "ask for an account", "GET", packet.AccountPath, nil, nil, http.StatusOK)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("ask for an account: the hub's answer is none: %w", err)
	}
	return a, nil
}

// Receipt asks for the receipt of a packet. It is not verified here.
func (c *Client) Receipt(ctx context.Context, packetID string) ([]byte, error) {
	body, _, err := c.do(ctx, "ask for a receipt", "GET", packet.ReceiptsPath+packetID, nil, nil, http.StatusOK)
	return body, err
}

// Upload brings a packet to the hub, or what the hub lacks of it. The upload's
// name on the hub follows from the manifest, so there is nothing to remember:
// after a broken line, a crash or a new disk at the station the same call goes
// on where the hub's last acknowledgement was. moved, if given, is told the
// offset after each acknowledged chunk. A packet that the hub has already is no error.
func (c *Client) Upload(ctx context.Context, manifest, sealed []byte, moved func(offset int64)) error {
	if moved == nil {
		moved = func(int64) {}
	}
	size := int64(len(sealed))
	_, header, err := c.do(ctx, "create an upload", "POST", packet.UploadsPath, http.Header{
		"Upload-Length":   {strconv.FormatInt(size, 10)},
		"Upload-Metadata": {packet.ManifestKey + " " + base64.StdEncoding.EncodeToString(manifest)},
	}, nil, http.StatusCreated)
	var refusal *packet.Refusal
	if errors.As(err, &refusal) && refusal.Code == packet.AlreadyReceived {
		return nil
	}
	if err != nil {
		return err
	}
	place, err := c.place(header.Get("Location"))
	if err != nil {
		return err
	}
	if header.Get("Upload-Offset") == "" {
		// The upload was begun before: how far did it get?
		if _, header, err = c.do(ctx, "resume an upload", "HEAD", place, nil, nil, http.StatusOK); err != nil {
			return err
		}
	}
	offset, err := offsetIn(header, 0, size)
	if err != nil {
		return err
	}
	moved(offset)
	for offset < size {
		end := min(offset+c.chunk, size)
		_, header, err = c.do(ctx, "upload", "PATCH", place, http.Header{
			"Upload-Offset": {strconv.FormatInt(offset, 10)},
			"Content-Type":  {"application/offset+octet-stream"},
		}, sealed[offset:end], http.StatusNoContent)
		if err != nil {
			return err
		}
		if offset, err = offsetIn(header, offset+1, end); err != nil {
			return err
		}
		moved(offset)
	}
	return nil
}

// place takes the path of an upload from the Location that the hub gave, and
// leaves host and scheme to the base: what we send goes to our hub.
func (c *Client) place(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(u.Path, packet.UploadsPath) || !packet.ValidID(strings.TrimPrefix(u.Path, packet.UploadsPath)) {
		return "", errors.New("create an upload: the hub names no place for it")
	}
	return u.Path, nil
}

func offsetIn(h http.Header, low, high int64) (int64, error) {
	offset, err := strconv.ParseInt(h.Get("Upload-Offset"), 10, 64)
	if err != nil || offset < low || offset > high {
		return 0, fmt.Errorf("upload: the hub speaks of offset %.20q where %d to %d can be", h.Get("Upload-Offset"), low, high)
	}
	return offset, nil
}

// errStalled is the cause where the line neither broke nor moved.
var errStalled = errors.New("nothing moved on the line for too long")

// do makes one request and reads its whole, bounded answer. An answer other
// than want is an error: a *packet.Refusal where the hub gives one, else an
// *AnswerError.
func (c *Client) do(ctx context.Context, what, method, path string, header http.Header, body []byte, want int) ([]byte, http.Header, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.stall, func() { cancel(errStalled) })
	defer watch.Stop()

	var reader io.Reader
	if body != nil {
		reader = &watchedReader{Reader: bytes.NewReader(body), moved: func() { watch.Reset(c.stall) }}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, reader)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	req.ContentLength = int64(len(body))
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Tus-Resumable", "1.0.0")
	resp, err := c.http.Do(req)
	var answer []byte
	if err == nil {
		defer resp.Body.Close()
		answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		return nil, nil, fmt.Errorf("%s: %w", what, c.explain(err))
	}
	if len(answer) > maxAnswer {
		return nil, nil, fmt.Errorf("%s: the hub's answer has more than %d octets", what, maxAnswer)
	}
	if resp.StatusCode == want {
		return answer, resp.Header, nil
	}
	var refusal packet.Refusal
	if json.Unmarshal(answer, &refusal) == nil && refusal.Code != "" {
		return nil, nil, fmt.Errorf("%s: %w", what, &refusal)
	}
	return nil, nil, fmt.Errorf("%s: %w", what, &AnswerError{Status: resp.StatusCode, Code: tusCode(answer)})
}

// AnswerError is an answer that is no Refusal: of the tus protocol handler, or
// of something between us and the hub.
type AnswerError struct {
	Status int
	Code   string // tusd's word for it, such as ERR_UPLOAD_INTERRUPTED
}

func (e *AnswerError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the hub answered %d %s %s", e.Status, http.StatusText(e.Status), e.Code))
}

// tusCode takes the code from an answer such as "ERR_X: what it means".
func tusCode(answer []byte) string {
	code, _, _ := strings.Cut(string(answer), ":")
	if len(code) > 40 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return ""
	}
	return code
}

type watchedReader struct {
	io.Reader
	moved func()
}

func (r *watchedReader) Read(p []byte) (int, error) {
	r.moved()
	return r.Reader.Read(p)
}

// IdentityError is a hub that cannot prove to be ours, or that does not know
// us. Trying again cannot help; nothing was sent.
type IdentityError struct {
	Kind     IdentityKind
	Host     string // where it answers
	Sentence string
	cause    error
}

// IdentityKind is what the identity fails by.
type IdentityKind int

const (
	NotOurHub    IdentityKind = iota // the certificate is of another authority
	OutOfDate                        // the hub's certificate, by this station's clock
	OtherAddress                     // the hub's certificate is for another address
	NoTLS                            // what answers is no hub
	NotOurselves                     // the hub does not accept this station's certificate
)

func (e *IdentityError) Error() string { return e.Sentence }
func (e *IdentityError) Unwrap() error { return e.cause }

// explain says in one sentence what a failed connection means.
func (c *Client) explain(err error) error {
	var (
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		op       *net.OpError
		header   tls.RecordHeaderError
	)
	var sentence string
	var kind IdentityKind
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		kind, sentence = OutOfDate, fmt.Sprintf("the hub's certificate is valid from %s to %s, but this station's clock says %s: set the clock, or have the hub's certificate renewed",
			day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter), day(c.now()))
	case errors.As(err, &unknown), errors.As(err, &invalid):
		kind, sentence = NotOurHub, fmt.Sprintf("what answers at %s does not have the certificate of our hub: it is another program, another hub, or someone in between", c.base.Host)
	case errors.As(err, &hostname):
		kind, sentence = OtherAddress, fmt.Sprintf("the hub's certificate is not for the address %s: use an address that it names, or have it issued anew (chipid pki init --host)", c.base.Hostname())
	case errors.As(err, &header):
		kind, sentence = NoTLS, fmt.Sprintf("what answers at %s does not speak TLS: it is no hub", c.base.Host)
	case errors.As(err, &op) && op.Op == "remote error":
		kind, sentence = NotOurselves, "the hub does not accept this station's certificate: it is of another authority, or out of date"
	default:
		return err
	}
	return &IdentityError{Kind: kind, Host: c.base.Host, Sentence: sentence, cause: err}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
