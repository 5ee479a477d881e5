// Package fsxtest has the file systems that tests of durable code run on. Faulty makes
// single calls fail. Recorder notes every change and says what a power cut after any
// of them may leave on the disk. It owns no format and is for tests only.
//
// A power-cut test records a history, marking what it was promised, then opens what
// each crash leaves and compares:
//
//	rec, err := fsxtest.NewRecorder(dir)
//	…                       // open the code under test with FS: rec
//	rec.Mark("a delivered") // right after the call that promised it has returned
//	rec.Every(t, []fsxtest.Mode{fsxtest.Strict, fsxtest.Journal}, 3, func(t testing.TB, c *fsxtest.Crash, dir string) {
//		…               // open dir; all of c.Marks() must hold
//	})
//
// or, state by state, dir := rec.Crash(t, prefix, fsxtest.Strict, seed). To cut the
// power again during recovery, record the recovery: NewRecorder(dir) takes what it
// finds as durable.
//
// What counts as durable, by POSIX and no more: a file's bytes and time of change as of
// its last Sync, the names in a directory as of its last SyncDir, everything as of the
// last SyncFS. In particular the Sync of a new file does not make its name durable; a
// rename between two directories of which only the destination was synced shows the
// file in both, and one of which only the source was synced loses it. A sync covers
// what had returned when it began, not what was done while it ran. The other modes
// add what real file systems promise or do besides.
package fsxtest
