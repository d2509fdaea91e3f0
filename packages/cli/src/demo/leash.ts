/**
 * Loaded before a service by the demo's supervisor (`node --import`): when the supervisor is gone, however it went, the
 * service drains and ends instead of living on as an orphan.
 */
const GRACE_MS = 10_000;

process.once('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS).unref();
});
// Listening keeps the channel, and so the process, alive: it must not outlive its own work.
process.channel?.unref();
