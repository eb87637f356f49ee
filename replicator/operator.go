package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
)

// operator sends requests to the running replicator.
type operator struct {
	scheme, address string
	client          http.Client
}

func newOperator() (*operator, error) {
	if err := env.LoadFile(); err != nil {
		return nil, err
	}
	address := os.Getenv("LISTEN_ADDR")
	if address == "" {
		return nil, errors.New("set LISTEN_ADDR to the host:port that the running replicator has it set to (127.0.0.1:8083 in the local stack)")
	}
	// A replicator that listens on all addresses also listens on loopback, and its certificate names that.
	if port, all := strings.CutPrefix(address, "0.0.0.0:"); all {
		address = "127.0.0.1:" + port
	}
	scheme := "http"
	if os.Getenv("TLS_FILE") != "" { // the running replicator has it set
		scheme = "https"
	}
	return &operator{scheme: scheme, address: address, client: http.Client{Timeout: 5 * time.Second}}, nil
}

func (o *operator) status(ctx context.Context) (ops.Status, error) {
	return o.ask(ctx, http.MethodGet, "/v1/status", http.StatusOK)
}

func (o *operator) rebuild(ctx context.Context, acceptOlder bool) (ops.Status, error) {
	path := "/v1/rebuild"
	if acceptOlder {
		path += "?accept_older_timeline=true"
	}
	return o.ask(ctx, http.MethodPost, path, http.StatusAccepted)
}

func (o *operator) ask(ctx context.Context, method, path string, want int) (s ops.Status, err error) {
	request, err := http.NewRequestWithContext(ctx, method, o.scheme+"://"+o.address+path, nil)
	if err != nil {
		return s, fmt.Errorf("LISTEN_ADDR: %w", err)
	}
	response, err := o.client.Do(request)
	if err != nil {
		return s, fmt.Errorf("no replicator answers at %s (%w): start one with \"replicator run\", or correct LISTEN_ADDR", o.address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != want {
		var p web.Problem
		if err := json.NewDecoder(response.Body).Decode(&p); err != nil || p.Detail == "" {
			p.Detail = "what answers there is no replicator of this version"
		}
		return s, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, p.Detail)
	}
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return s, nil
}
