package hub

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	tus "github.com/tus/tusd/v2/pkg/handler"
	tuslog "golang.org/x/exp/slog"

	"chipid/enroll/packet"
	"chipid/pki/durable"
)

// statusOf is the HTTP status that goes with a code; lasting refusals that are
// not listed give 422.
var statusOf = map[packet.Code]int{
	packet.AlreadyReceived: http.StatusConflict,
	packet.WrongStation:    http.StatusForbidden,
	packet.BadSignature:    http.StatusForbidden,
	packet.UnknownStation:  http.StatusForbidden,
	packet.TooMany:         http.StatusTooManyRequests,
	packet.DiskFull:        http.StatusInsufficientStorage,
	packet.HubFailed:       http.StatusInternalServerError,
	packet.NotReceived:     http.StatusNotFound,
}

// refusalOf makes an error one that may be told to a station. What is not a
// refusal already is about the hub's inside, which is its own business.
func refusalOf(err error) *packet.Refusal {
	var r *packet.Refusal
	switch {
	case errors.As(err, &r):
		return r
	case durable.IsFull(err):
		return packet.Refusef(packet.DiskFull, "the hub's disk is full: free space there, then send again")
	default:
		return packet.Refusef(packet.HubFailed, "the hub could not do its work: see its log")
	}
}

func status(code packet.Code) int {
	if s, ok := statusOf[code]; ok {
		return s
	}
	return http.StatusUnprocessableEntity
}

// answer puts an error into the form that tusd sends.
func answer(err error) error {
	var known tus.Error
	if errors.As(err, &known) {
		return err
	}
	r := refusalOf(err)
	body, merr := json.Marshal(r)
	if merr != nil {
		return merr
	}
	return tus.Error{ErrorCode: string(r.Code), Message: r.Reason, HTTPResponse: tus.HTTPResponse{
		StatusCode: status(r.Code), Body: string(body),
		Header: tus.HTTPHeader{"Content-Type": "application/json"},
	}}
}

// Handler serves stations. It must be reached over TLS with client
// certificates verified, as Serve does.
func (h *Hub) Handler() (http.Handler, error) {
	composer := tus.NewStoreComposer()
	composer.UseCore(h.uploads)
	composer.UseLocker(&uploadLocks{})
	uploads, err := tus.NewHandler(tus.Config{
		StoreComposer:      composer,
		BasePath:           packet.UploadsPath,
		MaxSize:            packet.MaxSealed,
		DisableDownload:    true,
		DisableTermination: true,
		NetworkTimeout:     h.opt.ReadTimeout,
		Cors:               &tus.CorsConfig{Disable: true},
		Logger:             tuslog.New(tuslog.NewTextHandler(io.Discard, &tuslog.HandlerOptions{Level: tuslog.LevelError + 1})),
		PreUploadCreateCallback: func(hook tus.HookEvent) (tus.HTTPResponse, tus.FileInfoChanges, error) {
			resp, err := h.admit(hook)
			if err != nil {
				return resp, tus.FileInfoChanges{}, answer(err)
			}
			return resp, tus.FileInfoChanges{}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(packet.UploadsPath, h.ownUpload(http.StripPrefix(packet.UploadsPath, uploads)))
	mux.HandleFunc("GET "+packet.ReceiptsPath+"{packet}", h.receipt)
	mux.HandleFunc("GET "+packet.HelloPath, h.hello)
	mux.HandleFunc("GET "+packet.AccountPath, h.account)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, packet.Refusef(packet.NotReceived, "there is nothing at this address"))
	})
	return h.authenticate(mux), nil
}

type stationKeyType struct{}

// authenticate finds out which station is calling and bounds how much it asks
// at once.
func (h *Hub) authenticate(next http.Handler) http.Handler {
	var mu sync.Mutex
	running := map[string]int{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		station, err := h.caller(r)
		if err != nil {
			h.opt.Log.Warn("caller refused", "address", r.RemoteAddr, "error", err.Error())
			refuse(w, refusalOf(err))
			return
		}
		mu.Lock()
		running[station.ID]++
		tooMany := running[station.ID] > h.opt.MaxRequests
		mu.Unlock()
		defer func() {
			mu.Lock()
			if running[station.ID]--; running[station.ID] == 0 {
				delete(running, station.ID)
			}
			mu.Unlock()
		}()
		if tooMany {
			refuse(w, packet.Refusef(packet.TooMany, "station %s asks for more than %d things at once", station.ID, h.opt.MaxRequests))
			return
		}
		// tusd would let a header change the method after our routing.
		r.Header.Del("X-HTTP-Method-Override")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), stationKeyType{}, station)))
	})
}

func (h *Hub) caller(r *http.Request) (Station, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Station{}, packet.Refusef(packet.UnknownStation, "no station certificate was shown")
	}
	leaf := r.TLS.PeerCertificates[0]
	id := leaf.Subject.CommonName
	if !packet.ValidStation(id) {
		return Station{}, packet.Refusef(packet.UnknownStation, "the certificate names no station")
	}
	station, err := h.identity.Station(id)
	if err != nil {
		h.opt.Log.Warn("look up a station", "station", id, "error", err.Error())
		return Station{}, packet.Refusef(packet.UnknownStation, "station %s is not known here, or no longer", id)
	}
	digest := sha256.Sum256(leaf.Raw)
	if station.ID != id || subtle.ConstantTimeCompare(station.CertSHA256[:], digest[:]) != 1 {
		return Station{}, packet.Refusef(packet.UnknownStation, "the certificate shown is not the one that station %s is known by", id)
	}
	return station, nil
}

func stationOf(ctx context.Context) Station {
	s, _ := ctx.Value(stationKeyType{}).(Station)
	return s
}

// ownUpload keeps a station from another's uploads: they do not exist for it.
func (h *Hub) ownUpload(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := strings.Trim(strings.TrimPrefix(r.URL.Path, packet.UploadsPath), "/")
		if id != "" {
			if m, ok := h.uploads.manifest(id); !ok || m.Station != stationOf(r.Context()).ID {
				refuse(w, packet.Refusef(packet.NotReceived, "there is no such upload"))
				return
			}
		}
		next.ServeHTTP(w, withControl(w, r))
	})
}

// admit decides on an upload before any of its bytes is taken. The answer
// carries the offset where the upload is there already.
func (h *Hub) admit(hook tus.HookEvent) (resp tus.HTTPResponse, err error) {
	station := stationOf(hook.Context)
	var known *packet.Manifest
	defer func() {
		var r *packet.Refusal
		if errors.As(err, &r) && r.Code.Lasting() {
			h.opt.Log.Warn("packet refused", "station", station.ID, "code", string(r.Code), "reason", r.Reason)
			if nerr := h.index.refuse(station.ID, known, r, h.opt.Now()); nerr != nil {
				err = nerr
			}
		}
	}()
	if hook.HTTPRequest.Header.Get("Content-Type") == "application/offset+octet-stream" {
		// An upload that is there already would take these bytes at its end.
		return resp, packet.Refusef(packet.HubFailed, "create the upload first, then send its bytes")
	}
	raw := []byte(hook.Upload.MetaData[packet.ManifestKey])
	m, err := packet.ReadManifest(raw)
	if err != nil {
		return resp, packet.Refusef(packet.BadManifest, "%v", err)
	}
	if m.Station != station.ID {
		return resp, packet.Refusef(packet.WrongStation, "a packet of station %s was presented by station %s", m.Station, station.ID)
	}
	if _, err := packet.VerifyManifest(raw, station.SignKey); err != nil {
		return resp, packet.Refusef(packet.BadSignature, "the manifest of packet %s: %v", m.PacketID, err)
	}
	known = &m
	if hook.Upload.Size != m.Size {
		return resp, packet.Refusef(packet.BadManifest, "the upload has %d octets, its manifest says %d", hook.Upload.Size, m.Size)
	}
	entry, err := h.index.lookup(m)
	if err != nil {
		return resp, err
	}
	if entry != nil {
		return resp, packet.Refusef(packet.AlreadyReceived, "packet %s was received before: ask for its receipt", m.PacketID)
	}
	resp.Header = tus.HTTPHeader{}
	id := packet.UploadName(raw)
	if _, ok := h.uploads.manifest(id); !ok {
		resp.Header["Upload-Offset"] = "0"
	}
	return resp, nil
}

// receipt hands out the receipt of a stored packet. Where the upload is whole
// but was not stored, because of a crash or a full disk, it is stored now.
func (h *Hub) receipt(w http.ResponseWriter, r *http.Request) {
	station, packetID := stationOf(r.Context()), r.PathValue("packet")
	receipt, err := h.findReceipt(r.Context(), station.ID, packetID)
	if err != nil {
		refusal := refusalOf(err)
		if refusal.Code == packet.HubFailed || refusal.Code == packet.DiskFull {
			h.opt.Log.Error("give a receipt", "packet", packetID, "station", station.ID, "error", err.Error())
		}
		refuse(w, refusal)
		return
	}
	w.Header().Set("Content-Type", "application/cbor")
	w.Write(receipt)
}

func (h *Hub) findReceipt(ctx context.Context, station, packetID string) ([]byte, error) {
	if !packet.ValidID(packetID) {
		return nil, packet.Refusef(packet.NotReceived, "that is no packet id")
	}
	entry, err := h.index.entry(station, packetID)
	if err != nil {
		return nil, err
	}
	if entry != nil {
		return entry.Receipt, nil
	}
	if id, ok := h.uploads.find(station, packetID); ok {
		m, _ := h.uploads.manifest(id)
		offset, err := h.uploads.offset(id, m)
		if err == nil && offset == m.Size {
			return h.ingest(ctx, id)
		}
		return nil, packet.Refusef(packet.NotReceived, "packet %s is not whole yet", packetID)
	}
	refusal, err := h.index.refusal(station, packetID)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, refusal
	}
	return nil, packet.Refusef(packet.NotReceived, "packet %s is not here", packetID)
}

func (h *Hub) hello(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, packet.Hello{Station: stationOf(r.Context()).ID, Time: h.opt.Now().UTC()})
}

func (h *Hub) account(w http.ResponseWriter, r *http.Request) {
	station := stationOf(r.Context())
	account, err := h.index.account(station.ID)
	if err != nil {
		h.opt.Log.Error("give an account", "station", station.ID, "error", err.Error())
		refuse(w, refusalOf(err))
		return
	}
	writeJSON(w, http.StatusOK, account)
}

func refuse(w http.ResponseWriter, r *packet.Refusal) { writeJSON(w, status(r.Code), r) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// Serve serves stations on l, and the hub's own commands on a loopback port,
// until ctx ends. Then what is running may finish for some seconds; an upload
// that is cut off keeps what was acknowledged.
func (h *Hub) Serve(ctx context.Context, l net.Listener) error {
	handler, err := h.Handler()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	var handlers sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handlers.Add(1)
			defer handlers.Done()
			handler.ServeHTTP(w, r)
		}),
		// A caller that dribbles its header, or sits idle, holds no place for
		// long. tusd moves the deadlines along while bytes of a body arrive.
		ReadHeaderTimeout: h.opt.ReadTimeout,
		ReadTimeout:       h.opt.ReadTimeout,
		WriteTimeout:      4 * h.opt.ReadTimeout,
		IdleTimeout:       4 * h.opt.ReadTimeout,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(h.opt.Log.Handler(), slog.LevelDebug),
		// HTTP/1.1 only: its deadlines are those of the connection.
		Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	tlsListener := tls.NewListener(newLimitListener(l, h.opt.MaxConnections), &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{h.identity.TLS},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    h.identity.CAs,
		Time:         h.opt.Now,
		NextProtos:   []string{"http/1.1"},
	})
	own, err := h.startAdmin()
	if err != nil {
		l.Close()
		return fmt.Errorf("serve: %w", err)
	}
	defer own.stop()

	done := make(chan error, 1)
	go func() { done <- server.Serve(tlsListener) }()
	sweep := time.NewTicker(time.Hour)
	defer sweep.Stop()
	for {
		select {
		case err := <-done:
			server.Close()
			handlers.Wait()
			return fmt.Errorf("serve: %w", err)
		case <-sweep.C:
			if err := h.uploads.expire(h.opt.Now().Add(-h.opt.KeepUploads)); err != nil {
				h.opt.Log.Error("drop stale uploads", "error", err.Error())
			}
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := server.Shutdown(grace); err != nil {
				server.Close()
			}
			handlers.Wait()
			<-done
			return nil
		}
	}
}

// limitListener bounds the connections that are open at once; further ones
// wait in the kernel's queue.
type limitListener struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimitListener(l net.Listener, n int) *limitListener {
	return &limitListener{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.places })}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}
