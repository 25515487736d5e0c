import type { z } from 'zod';
import type { Config } from './config.ts';
import { deepFreeze } from './deep-freeze.ts';
import { isReloadable } from './differences.ts';
import { mirroringLabel } from './entry-labels.ts';
import { generalSchema, type GeneralConfig } from './general-schema.ts';
import type { MirroringConfig } from './mirroring-schema.ts';
import { nearestName } from './nearest-name.ts';

/** One key of `[general]` with another value. */
export type GeneralSetting = {
  readonly [Key in keyof GeneralConfig]: { readonly key: Key; readonly value: GeneralConfig[Key] };
}[keyof GeneralConfig];

/** Why a key cannot be set: a SQLSTATE, what is wrong, and what to do. */
export interface SettingRefusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/**
 * What `SET key = text` means while pgmirror runs, or why it cannot be. Keys that name files, or say how clients log in,
 * are checked together with both files, and so are not set one by one.
 */
export function generalSetting(
  config: Config,
  key: string,
  text: string,
): { readonly setting: GeneralSetting } | { readonly refusal: SettingRefusal } {
  if (!isGeneralKey(key)) {
    const hint = `The nearest key of [general] is ${nearestName(key, Object.keys(generalSchema.shape))}.`;
    return { refusal: { code: '42704', message: `unrecognized configuration parameter "${key}"`, hint } };
  }
  if (!isReloadable(key)) {
    const hint = 'It is read at the start alone.';
    return { refusal: { code: '55P02', message: `"${key}" cannot be changed while pgmirror runs`, hint } };
  }
  if (/^(?:tls|auth)_/.test(key)) {
    const hint = `Change it in ${config.files.config}, then RELOAD.`;
    return { refusal: { code: '55P02', message: `"${key}" cannot be changed by SET`, hint } };
  }
  const schema: z.ZodType = generalSchema.shape[key];
  for (const candidate of readings(text)) {
    const parsed = schema.safeParse(candidate);
    if (!parsed.success) continue;
    const setting = { key, value: parsed.data } as GeneralSetting;
    const problem = poolProblem(withSetting(config, setting));
    if (problem === undefined) return { setting };
    return { refusal: { code: '22023', message: `invalid value for "${key}": ${text}`, hint: problem } };
  }
  const accepted = schema.safeParse(text).error?.issues[0]?.message ?? 'another value';
  const hint = `Accepted: ${accepted}.`;
  return { refusal: { code: '22023', message: `invalid value for "${key}": ${text}`, hint } };
}

/** The configuration with one key of `[general]` changed, and with it what takes its value from there. */
export function withSetting(config: Config, { key, value }: GeneralSetting): Config {
  const has = ({ source_db: source, destination_db: destination }: MirroringConfig, name: string): boolean =>
    config.given.includes(`${mirroringLabel(source, destination)}.${name}`);
  const mirroring = config.mirroring.map((mirror): MirroringConfig => {
    if (key === 'mirror_exposure' && !has(mirror, 'exposure')) return { ...mirror, exposure: value };
    if (key !== 'mirror_queue' || has(mirror, 'queue_length') || has(mirror, 'queue_depth')) return mirror;
    return { ...mirror, queue_length: value };
  });
  return deepFreeze({ ...config, general: { ...config.general, [key]: value }, mirroring });
}

function isGeneralKey(key: string): key is keyof GeneralConfig {
  return Object.hasOwn(generalSchema.shape, key);
}

/** A word as TOML would have it: a number, a switch, a string. */
function readings(text: string): unknown[] {
  const numbers = text.trim() === '' || Number.isNaN(Number(text)) ? [] : [Number(text)];
  const word = text.toLowerCase();
  const flags = /^(?:true|on|yes|1)$/.test(word) ? [true] : /^(?:false|off|no|0)$/.test(word) ? [false] : [];
  return [...numbers, ...flags, text, word];
}

/** A pool that is kept at so many connections must have room for them. */
function poolProblem({ general, databases }: Config): string | undefined {
  const { default_pool_size: size, min_pool_size: least } = general;
  if (least > size) return `default_pool_size is ${size}, and min_pool_size ${least}.`;
  const kept = databases.find(({ pool_size: own, min_pool_size: few }) => own === undefined && (few ?? 0) > size);
  return kept && `min_pool_size of the database "${kept.name}" is ${kept.min_pool_size}.`;
}
