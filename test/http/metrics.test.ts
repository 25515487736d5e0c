import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { metricsText } from '../../src/http/metrics.ts';
import { parseMetrics } from '../support/prometheus.ts';
import { figures } from './figures.ts';

describe('metricsText', () => {
  it('is what Prometheus reads, whatever the names of databases are', async () => {
    const families = parseMetrics(await metricsText(figures));
    const up = families.get('pgmirror_mirror_up')?.samples;
    assert.deepEqual(
      up?.map(({ labels, value }) => [labels.destination, value]),
      [
        ['shadow', 1],
        ['quo"te\\d\nname', 0],
      ],
    );
    assert.equal(families.get('pgmirror_request_duration_seconds')?.type, 'histogram');
    assert.equal(families.get('pgmirror_mirror_transactions_total')?.type, 'counter');
  });
});

for (const file of ['deploy/prometheus/alerts.yml', 'deploy/grafana/dashboards/pgmirror.json']) {
  describe(file, () => {
    it('names only metrics and labels that there are', async () => {
      const families = [...parseMetrics(await metricsText(figures)).values()];
      const samples = families.flatMap((family) => family.samples);
      const known = new Set(samples.map(({ name }) => name));
      const labels = new Set(samples.flatMap((sample) => Object.keys(sample.labels)));
      const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
      const named = [...text.matchAll(/pgmirror_\w+/g)].map(([name]) => name);
      assert.ok(named.length > 5);
      assert.deepEqual([...new Set(named.filter((name) => !known.has(name)))], []);
      const used = [...text.matchAll(/([a-z_]+)(?:=|!=|=~|!~)\\?"/g)].map(([, name]) => name ?? '');
      assert.deepEqual([...new Set(used.filter((name) => !labels.has(name)))], []);
    });
  });
}
