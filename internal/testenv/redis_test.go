package testenv

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// redisDo sends one inline command and returns the first line of the answer.
func redisDo(r *Redis, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}

func TestRedisKeepsItsDataThroughKillAndStop(t *testing.T) {
	t.Parallel()
	r := StartRedis(t)
	if got, err := redisDo(r, "RPUSH list a"); got != ":1" {
		t.Fatalf("RPUSH: %s, %v", got, err)
	}
	for _, end := range []func(testing.TB){r.Kill, r.Stop} {
		end(t)
		if _, err := redisDo(r, "PING"); err == nil {
			t.Error("the server still answers")
		}
		r.Start(t)
		if got, err := redisDo(r, "LLEN list"); got != ":1" {
			t.Errorf("after a restart: %s, %v", got, err)
		}
	}
}

func TestRedisPause(t *testing.T) {
	t.Parallel()
	r := StartRedis(t)
	r.Pause(t)
	if got, err := redisDo(r, "PING"); err == nil {
		t.Errorf("paused, it answers %s", got)
	}
	r.Resume(t)
	if got, err := redisDo(r, "PING"); got != "+PONG" {
		t.Errorf("resumed, it answers %s, %v", got, err)
	}
	r.Pause(t)
	r.Stop(t)
}

func TestRedisSettings(t *testing.T) {
	t.Parallel()
	r := StartRedis(t, Set("maxmemory", "100mb"), Set("maxmemory-policy", "allkeys-lru"), Set("appendonly", "no"))
	info, err := redisInfo(r)
	if err != nil || !strings.Contains(info, "maxmemory_policy:allkeys-lru") || !strings.Contains(info, "maxmemory:104857600") {
		t.Errorf("INFO memory: %s, %v", info, err)
	}
}

// redisInfo reads until the connection ends, which is what QUIT asks for.
func redisInfo(r *Redis) (string, error) {
	conn, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("INFO memory\r\nQUIT\r\n")); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	return string(b), err
}

func BenchmarkStartRedis(b *testing.B) {
	for b.Loop() {
		r := StartRedis(b)
		r.Stop(b)
	}
}
