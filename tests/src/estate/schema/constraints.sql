-- Built after the rows are there: keys, indexes, checks, foreign keys.
ALTER TABLE ar_internal_metadata ADD CONSTRAINT ar_internal_metadata_pkey PRIMARY KEY (key);
ALTER TABLE schema_migrations ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

-- lettings_logs: 11 indexes with its key.
ALTER TABLE lettings_logs ADD CONSTRAINT lettings_logs_pkey PRIMARY KEY (id);
CREATE INDEX index_lettings_logs_on_assigned_to_id ON lettings_logs USING btree (assigned_to_id);
CREATE INDEX index_lettings_logs_on_bulk_upload_id ON lettings_logs USING btree (bulk_upload_id);
CREATE INDEX index_lettings_logs_on_duplicate_set_id ON lettings_logs USING btree (duplicate_set_id)
    WHERE duplicate_set_id IS NOT NULL;
CREATE INDEX index_lettings_logs_on_location_id ON lettings_logs USING btree (location_id);
CREATE INDEX index_lettings_logs_on_managing_organisation_id ON lettings_logs USING btree (managing_organisation_id);
CREATE UNIQUE INDEX index_lettings_logs_on_old_id ON lettings_logs USING btree (old_id);
CREATE INDEX index_lettings_logs_on_owning_organisation_id ON lettings_logs
    USING btree (owning_organisation_id, status, startdate DESC NULLS LAST);
CREATE INDEX index_lettings_logs_on_scheme_id ON lettings_logs USING btree (scheme_id);
CREATE INDEX index_lettings_logs_on_updated_by_id ON lettings_logs USING btree (updated_by_id);
CREATE INDEX index_lettings_logs_on_values_updated_at ON lettings_logs USING btree (values_updated_at)
    WHERE discarded_at IS NULL;

-- sales_logs: 9.
ALTER TABLE sales_logs ADD CONSTRAINT sales_logs_pkey PRIMARY KEY (id);
CREATE INDEX index_sales_logs_on_assigned_to_id ON sales_logs USING btree (assigned_to_id);
CREATE INDEX index_sales_logs_on_bulk_upload_id ON sales_logs USING btree (bulk_upload_id);
CREATE INDEX index_sales_logs_on_created_by_id ON sales_logs USING btree (created_by_id);
CREATE INDEX index_sales_logs_on_managing_organisation_id ON sales_logs USING btree (managing_organisation_id);
CREATE UNIQUE INDEX index_sales_logs_on_old_id ON sales_logs USING btree (old_id);
CREATE INDEX index_sales_logs_on_owning_organisation_id ON sales_logs
    USING btree (owning_organisation_id, saledate DESC);
CREATE INDEX index_sales_logs_on_updated_by_id ON sales_logs USING btree (updated_by_id);
CREATE INDEX index_sales_logs_on_postcode ON sales_logs USING btree (lower((postcode_full)::text))
    WHERE discarded_at IS NULL;

-- users: 6.
ALTER TABLE users ADD CONSTRAINT users_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_users_on_confirmation_token ON users USING btree (confirmation_token);
CREATE UNIQUE INDEX index_users_on_email ON users USING btree (email);
CREATE UNIQUE INDEX index_users_on_encrypted_otp_secret_key ON users USING btree (encrypted_otp_secret_key);
CREATE INDEX index_users_on_organisation_id ON users USING btree (organisation_id);
CREATE UNIQUE INDEX index_users_on_reset_password_token ON users USING btree (reset_password_token);

ALTER TABLE bulk_upload_errors ADD CONSTRAINT bulk_upload_errors_pkey PRIMARY KEY (id);
CREATE INDEX index_bulk_upload_errors_on_bulk_upload_id ON bulk_upload_errors USING btree (bulk_upload_id);
ALTER TABLE bulk_uploads ADD CONSTRAINT bulk_uploads_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_bulk_uploads_on_identifier ON bulk_uploads USING btree (identifier);
CREATE INDEX index_bulk_uploads_on_user_id ON bulk_uploads USING btree (user_id);
ALTER TABLE collection_resources ADD CONSTRAINT collection_resources_pkey PRIMARY KEY (id);
ALTER TABLE csv_downloads ADD CONSTRAINT csv_downloads_pkey PRIMARY KEY (id);
CREATE INDEX index_csv_downloads_on_organisation_id ON csv_downloads USING btree (organisation_id);
CREATE INDEX index_csv_downloads_on_user_id ON csv_downloads USING btree (user_id);
ALTER TABLE csv_variable_definitions ADD CONSTRAINT csv_variable_definitions_pkey PRIMARY KEY (id);
ALTER TABLE csv_variable_definitions ADD CONSTRAINT check_year CHECK (year >= 2000 AND year <= 2099);
ALTER TABLE csv_variable_definitions ADD CONSTRAINT check_log_type
    CHECK (log_type::text = ANY (ARRAY['lettings'::text, 'sales'::text]));
ALTER TABLE data_protection_confirmations ADD CONSTRAINT data_protection_confirmations_pkey PRIMARY KEY (id);
CREATE INDEX dpo_user_id ON data_protection_confirmations USING btree (data_protection_officer_id);
CREATE INDEX index_data_protection_confirmations_on_organisation_id ON data_protection_confirmations
    USING btree (organisation_id);
ALTER TABLE exports ADD CONSTRAINT exports_pkey PRIMARY KEY (id);
ALTER TABLE la_rent_ranges ADD CONSTRAINT la_rent_ranges_pkey PRIMARY KEY (id);
ALTER TABLE la_rent_ranges ADD CONSTRAINT check_soft_range CHECK (soft_min <= soft_max);
CREATE UNIQUE INDEX index_la_rent_ranges_on_start_year_and_lettype_and_beds_and_la ON la_rent_ranges
    USING btree (start_year, lettype, beds, la);
ALTER TABLE la_sale_ranges ADD CONSTRAINT la_sale_ranges_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_la_sale_ranges_on_start_year_bedrooms_la ON la_sale_ranges
    USING btree (start_year, bedrooms, la);
ALTER TABLE legacy_users ADD CONSTRAINT legacy_users_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_legacy_users_on_old_user_id ON legacy_users USING btree (old_user_id);
CREATE INDEX index_legacy_users_on_user_id ON legacy_users USING btree (user_id);
ALTER TABLE local_authorities ADD CONSTRAINT local_authorities_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_local_authorities_on_code ON local_authorities USING btree (code);
ALTER TABLE local_authority_links ADD CONSTRAINT local_authority_links_pkey PRIMARY KEY (id);
CREATE INDEX index_local_authority_links_on_linked_local_authority_id ON local_authority_links
    USING btree (linked_local_authority_id);
CREATE INDEX index_local_authority_links_on_local_authority_id ON local_authority_links
    USING btree (local_authority_id);
ALTER TABLE location_deactivation_periods ADD CONSTRAINT location_deactivation_periods_pkey PRIMARY KEY (id);
CREATE INDEX index_location_deactivation_periods_on_location_id ON location_deactivation_periods
    USING btree (location_id);
ALTER TABLE locations ADD CONSTRAINT locations_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_locations_on_old_id ON locations USING btree (old_id);
CREATE INDEX index_locations_on_scheme_id ON locations USING btree (scheme_id);
ALTER TABLE log_validations ADD CONSTRAINT log_validations_pkey PRIMARY KEY (id);
CREATE INDEX index_log_validations_on_log ON log_validations USING btree (log_type, log_id);
ALTER TABLE merge_request_organisations ADD CONSTRAINT merge_request_organisations_pkey PRIMARY KEY (id);
ALTER TABLE merge_requests ADD CONSTRAINT merge_requests_pkey PRIMARY KEY (id);
ALTER TABLE notifications ADD CONSTRAINT notifications_pkey PRIMARY KEY (id);
ALTER TABLE organisation_name_changes ADD CONSTRAINT organisation_name_changes_pkey PRIMARY KEY (id);
CREATE INDEX index_organisation_name_changes_on_organisation_id ON organisation_name_changes
    USING btree (organisation_id);
CREATE UNIQUE INDEX index_org_name_changes_on_org_id_startdate_discarded_at ON organisation_name_changes
    USING btree (organisation_id, startdate, discarded_at);
ALTER TABLE organisation_relationships ADD CONSTRAINT organisation_relationships_pkey PRIMARY KEY (id);
ALTER TABLE organisation_relationships ADD CONSTRAINT check_not_its_own_parent
    CHECK (child_organisation_id <> parent_organisation_id);
CREATE INDEX index_organisation_relationships_on_child_organisation_id ON organisation_relationships
    USING btree (child_organisation_id);
CREATE UNIQUE INDEX index_org_rel_parent_child_uniq ON organisation_relationships
    USING btree (parent_organisation_id, child_organisation_id);
ALTER TABLE organisation_rent_periods ADD CONSTRAINT organisation_rent_periods_pkey PRIMARY KEY (id);
CREATE INDEX index_organisation_rent_periods_on_organisation_id ON organisation_rent_periods
    USING btree (organisation_id);
ALTER TABLE organisations ADD CONSTRAINT organisations_pkey PRIMARY KEY (id);
CREATE INDEX index_organisations_on_absorbing_organisation_id ON organisations USING btree (absorbing_organisation_id);
CREATE UNIQUE INDEX index_organisations_on_old_visible_id ON organisations USING btree (old_visible_id);
ALTER TABLE read_marks ADD CONSTRAINT read_marks_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX read_marks_reader_readable_index ON read_marks
    USING btree (reader_id, reader_type, readable_type, readable_id);
CREATE INDEX index_read_marks_on_readable ON read_marks USING btree (readable_type, readable_id);
ALTER TABLE scheme_deactivation_periods ADD CONSTRAINT scheme_deactivation_periods_pkey PRIMARY KEY (id);
CREATE INDEX index_scheme_deactivation_periods_on_scheme_id ON scheme_deactivation_periods USING btree (scheme_id);
ALTER TABLE schemes ADD CONSTRAINT schemes_pkey PRIMARY KEY (id);
CREATE INDEX index_schemes_on_owning_organisation_id ON schemes USING btree (owning_organisation_id);
ALTER TABLE sessions ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
CREATE UNIQUE INDEX index_sessions_on_session_id ON sessions USING btree (session_id);
CREATE INDEX index_sessions_on_updated_at ON sessions USING btree (updated_at);
ALTER TABLE versions ADD CONSTRAINT versions_pkey PRIMARY KEY (id);
CREATE INDEX index_versions_on_item_type_and_item_id ON versions USING btree (item_type, item_id);

ALTER TABLE bulk_uploads ADD CONSTRAINT fk_bulk_uploads_users FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE csv_downloads ADD CONSTRAINT fk_csv_downloads_organisations
    FOREIGN KEY (organisation_id) REFERENCES organisations (id);
ALTER TABLE csv_downloads ADD CONSTRAINT fk_csv_downloads_users FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE data_protection_confirmations ADD CONSTRAINT fk_data_protection_confirmations_organisations
    FOREIGN KEY (organisation_id) REFERENCES organisations (id);
ALTER TABLE data_protection_confirmations ADD CONSTRAINT fk_data_protection_confirmations_users
    FOREIGN KEY (data_protection_officer_id) REFERENCES users (id);
ALTER TABLE legacy_users ADD CONSTRAINT fk_legacy_users_users FOREIGN KEY (user_id) REFERENCES users (id);
ALTER TABLE lettings_logs ADD CONSTRAINT fk_lettings_logs_locations
    FOREIGN KEY (location_id) REFERENCES locations (id);
ALTER TABLE lettings_logs ADD CONSTRAINT fk_lettings_logs_owning_organisations
    FOREIGN KEY (owning_organisation_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE lettings_logs ADD CONSTRAINT fk_lettings_logs_managing_organisations
    FOREIGN KEY (managing_organisation_id) REFERENCES organisations (id);
ALTER TABLE lettings_logs ADD CONSTRAINT fk_lettings_logs_schemes FOREIGN KEY (scheme_id) REFERENCES schemes (id);
ALTER TABLE lettings_logs ADD CONSTRAINT fk_lettings_logs_assigned_to
    FOREIGN KEY (assigned_to_id) REFERENCES users (id);
ALTER TABLE local_authority_links ADD CONSTRAINT fk_local_authority_links_local_authorities
    FOREIGN KEY (local_authority_id) REFERENCES local_authorities (id);
ALTER TABLE local_authority_links ADD CONSTRAINT fk_local_authority_links_linked
    FOREIGN KEY (linked_local_authority_id) REFERENCES local_authorities (id);
ALTER TABLE locations ADD CONSTRAINT fk_locations_schemes FOREIGN KEY (scheme_id) REFERENCES schemes (id);
ALTER TABLE organisation_name_changes ADD CONSTRAINT fk_organisation_name_changes_organisations
    FOREIGN KEY (organisation_id) REFERENCES organisations (id);
ALTER TABLE organisation_relationships ADD CONSTRAINT fk_organisation_relationships_child
    FOREIGN KEY (child_organisation_id) REFERENCES organisations (id);
ALTER TABLE organisation_relationships ADD CONSTRAINT fk_organisation_relationships_parent
    FOREIGN KEY (parent_organisation_id) REFERENCES organisations (id);
ALTER TABLE organisations ADD CONSTRAINT fk_organisations_absorbing
    FOREIGN KEY (absorbing_organisation_id) REFERENCES organisations (id);
ALTER TABLE sales_logs ADD CONSTRAINT fk_sales_logs_owning_organisations
    FOREIGN KEY (owning_organisation_id) REFERENCES organisations (id) ON DELETE CASCADE;
ALTER TABLE sales_logs ADD CONSTRAINT fk_sales_logs_managing_organisations
    FOREIGN KEY (managing_organisation_id) REFERENCES organisations (id);
ALTER TABLE sales_logs ADD CONSTRAINT fk_sales_logs_assigned_to
    FOREIGN KEY (assigned_to_id) REFERENCES users (id);
ALTER TABLE schemes ADD CONSTRAINT fk_schemes_organisations
    FOREIGN KEY (owning_organisation_id) REFERENCES organisations (id);
ALTER TABLE users ADD CONSTRAINT fk_users_organisations
    FOREIGN KEY (organisation_id) REFERENCES organisations (id) ON DELETE CASCADE;
