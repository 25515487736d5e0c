import { FRESH_LOGIN, SessionSettings } from './session-settings.ts';

/**
 * Session states by what they hold: sessions in the same state share one object, so that a connection that is in it
 * already is known by comparing references.
 */
export class SettingsRegistry {
  readonly #byKey = new Map<string, { settings: SessionSettings; references: number }>();
  readonly #keys = new WeakMap<SessionSettings, string>();

  /** Every call is answered by one of `release()`. */
  acquire(values: ReadonlyMap<string, string>): SessionSettings {
    if (values.size === 0) return FRESH_LOGIN;
    const key = JSON.stringify([...values].sort(([a], [b]) => (a < b ? -1 : 1)));
    const known = this.#byKey.get(key);
    if (known) {
      known.references++;
      return known.settings;
    }
    const settings = new SessionSettings(values);
    this.#byKey.set(key, { settings, references: 1 });
    this.#keys.set(settings, key);
    return settings;
  }

  release(settings: SessionSettings): void {
    const key = this.#keys.get(settings);
    const known = key === undefined ? undefined : this.#byKey.get(key);
    if (key === undefined || !known) return;
    known.references--;
    if (known.references === 0) this.#byKey.delete(key);
  }
}
