package testenv

import (
	"syscall"
	"testing"
	"time"
)

func users(t *testing.T, p *Postgres) int {
	t.Helper()
	return scan[int](t, p.URL("postgres"), "SELECT count(*) FROM users")
}

const addUser = "INSERT INTO users (login, password_hash) SELECT 'u' || count(*), 'x' FROM users"

func TestBackupsGoOnOnTheSameTimeline(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t)
	p.Exec(t, addUser)
	p.Exec(t, "SELECT pg_create_logical_replication_slot('mine', 'test_decoding')")
	const identity = "SELECT system_identifier::text FROM pg_control_system()"
	system := scan[string](t, p.URL("postgres"), identity)
	b := p.Backup(t)
	p.Exec(t, addUser)
	other := StartFrom(t, b)
	if users(t, other) != 1 || users(t, p) != 2 || other.Timeline(t) != 1 || scan[string](t, other.URL("postgres"), identity) != system {
		t.Errorf("%d users in the copy, %d in the original, timeline %d", users(t, other), users(t, p), other.Timeline(t))
	}
	slots := func() int { return scan[int](t, p.URL("postgres"), "SELECT count(*) FROM pg_replication_slots") }
	p.Kill(t)
	p.Restore(t, b)
	p.Start(t)
	if users(t, p) != 1 || slots() != 1 || p.Timeline(t) != 1 {
		t.Errorf("restored: %d users, %d slots, timeline %d", users(t, p), slots(), p.Timeline(t))
	}
	p.Stop(t)
	p.Restore(t, b)
	p.RemoveSlots(t)
	p.Start(t)
	if users(t, p) != 1 || slots() != 0 {
		t.Errorf("restored without slots: %d users, %d slots", users(t, p), slots())
	}
	p.Pause(t)
	p.Backup(t)
	if state, _, _ := stat(p.PID()); state != "T" {
		t.Errorf("a backup of a paused server leaves it in state %s", state)
	}
	p.Resume(t)
}

func TestOldPrimaryRejoins(t *testing.T) {
	t.Parallel()
	old := StartPostgres(t)
	standby := old.StartStandby(t)
	old.Pause(t)
	standby.Promote(t)
	standby.Exec(t, addUser)
	if standby.Timeline(t) != 2 {
		t.Errorf("timeline %d after the promotion", standby.Timeline(t))
	}
	old.Kill(t)
	old.Rejoin(t, standby)
	if users(t, old) != 1 || old.Timeline(t) != 2 {
		t.Errorf("%d users and timeline %d after the rejoin", users(t, old), old.Timeline(t))
	}
	writable := MultiHostURL(old.URL("command"), standby.URL("command")) + "&target_session_attrs=read-write"
	if !scan[bool](t, writable, "SELECT NOT pg_is_in_recovery()") {
		t.Error("a standby took the place of the primary")
	}
}

func TestStandbyIsMadeSynchronousAndPaused(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t)
	standby := p.StartStandby(t)
	p.SetSynchronous(t, StandbyName)
	p.Exec(t, addUser)
	standby.PauseReplay(t)
	p.Exec(t, addUser)
	if n := users(t, standby); n != 1 {
		t.Errorf("%d users on the paused standby", n)
	}
	standby.ResumeReplay(t)
	standby.WaitReplay(t)
	standby.Pause(t)
	waiting := make(chan error, 1)
	go func() { waiting <- execute(p.URL("postgres"), addUser) }()
	select {
	case err := <-waiting:
		t.Errorf("a commit did not wait for the frozen standby: %v", err)
	case <-time.After(100 * time.Millisecond):
		p.SetSynchronous(t, "")
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	standby.Resume(t)
}

func TestSynchronousIsSetOnceTheCheckpointerKnows(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t)
	p.StartStandby(t)
	checkpointer := scan[int](t, p.URL("postgres"), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
	if err := syscall.Kill(checkpointer, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		p.SetSynchronous(t, StandbyName)
		close(done)
	}()
	const seen = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
	Eventually(t, startBudget, "new sessions have the setting", func() bool { return scan[int](t, p.URL("postgres"), seen) == 1 })
	select {
	case <-done:
		t.Error("set, and no commit waits yet")
	case <-time.After(100 * time.Millisecond):
	}
	if err := syscall.Kill(checkpointer, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	<-done
}
