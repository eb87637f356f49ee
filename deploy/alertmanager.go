package deploy

import (
	"errors"
	"net/url"
	"strings"
)

// Alertmanager tells somebody of the alerts of Prometheus.
type Alertmanager struct {
	// Webhook is the URL that gets each alert by POST, as Alertmanager's documentation describes (webhook_config); "": nobody
	// is told, and its page shows the alerts. It may hold a secret.
	Webhook string
	TLS     *TLS
}

// Files is its configuration.
func (a Alertmanager) Files() (Files, error) {
	if err := CheckWebhook(a.Webhook); err != nil {
		return nil, err
	}
	files := Files{}
	if err := files.add("alertmanager.yml", "alertmanager/alertmanager.yml", 0o600, false, a); err != nil {
		return nil, err
	}
	if a.TLS == nil {
		return files, nil
	}
	return files, files.add("web.yml", "prometheus/web.yml", 0o644, false, a.TLS)
}

// CheckWebhook refuses what is neither empty nor an http or https URL. The error does not repeat it.
func CheckWebhook(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.ContainsAny(text, " \r\n") {
		return errors.New("ALERT_WEBHOOK is not an http or https URL")
	}
	return nil
}
